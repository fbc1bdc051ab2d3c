import { batchOf } from './batches.ts'
import { resolve, type Document, type Operation, type Parameter } from './document.ts'
import type { Random } from './random.ts'
import type { Values } from './values.ts'

/** One request, as it can be repeated. */
export interface Call {
  method: string
  template: string
  operation: Operation
  url: string
  headers: Record<string, string>
  body?: string
  /** Whether the document allows all of it. */
  isValid: boolean
}

const oddTypes = ['text/plain', 'application/xml', 'application/json; charset=latin1', 'x', '']
const oddHeaders: readonly [string, string][] = [
  ['if-match', '*'],
  ['if-match', 'W/"1"'],
  ['if-match', '"1", "2"'],
  ['if-none-match', '"1"'],
  ['accept', 'application/xml'],
  ['accept', 'text/csv;q=0.5, */*;q=0.1'],
  ['accept', ';;q=x'],
  ['accept-encoding', 'zstd, br;q=x'],
  ['cache-control', 'no-cache'],
  ['x-request-id', 'é'.repeat(5)],
  ['origin', 'null']
]
const oddIds = ['0', '-1', 'x', '1e3', '01', '%00', '%F0%9F', '99999999999999999999', '１']

/** Parameters that say for how long a request waits for something. */
const waits = new Set(['wait', 'duration'])

/** Generates calls of the operations of a document. */
export class Calls {
  readonly #document: Document
  readonly #random: Random
  readonly #values: Values
  /** The IDs of records, by the path of their resource. */
  readonly #idOf: (area: string) => number

  constructor(document: Document, random: Random, values: Values, idOf: (area: string) => number) {
    this.#document = document
    this.#random = random
    this.#values = values
    this.#idOf = idOf
  }

  /** A call of an operation: half of them valid by the document, the others broken somewhere. */
  next(method: string, template: string, operation: Operation): Call {
    const isValid = this.#random.chance(0.5)
    const parameters = (operation.parameters ?? []).map(one => resolve(this.#document, one))
    const call: Call = {
      method: method.toUpperCase(),
      template,
      operation,
      url: this.#path(template, parameters, isValid) + this.#query(parameters, isValid),
      headers: this.#headers(parameters, isValid),
      isValid
    }
    this.#addBody(call)
    return call
  }

  #path(template: string, parameters: Parameter[], isValid: boolean): string {
    const area = template.split('/')[2]!
    const id = () =>
      isValid || this.#random.chance(0.8) ? String(this.#idOf(area)) : this.#random.pick(oddIds)
    return template
      .replace('{id}', id)
      .replace(/\{\w+_id\}/, () => String(this.#random.integer(1, 20)))
      .replace('{code}', () => this.#random.pick(['invalid', 'x']))
      .replace('{source}', () => this.#random.pick(isValid ? ['erp', 'shop'] : ['ERP', '%00', 'x']))
      .replace('{value}', () => encode(this.#random.pick(['A-42', 'a/b', '100%', 'é', '1'])))
      .replace('{organization}', () => this.#random.pick(['smartx', 'nobody']))
      .replace(/\{(\w+)\}/, (_, name) => {
        const { schema } = parameters.find(one => one.in === 'path' && one.name === name)!
        return encode(textOf(isValid ? this.#values.valid(schema) : this.#values.odd()))
      })
  }

  /** Some of the parameters. A cursor belongs to one list, so a valid call has none. */
  #query(parameters: Parameter[], isValid: boolean): string {
    const { chance, pick } = this.#random
    const ofQuery = parameters.filter(({ in: place }) => place === 'query')
    const usable = ofQuery.filter(({ name }) => !waits.has(name) && !(isValid && name === 'cursor'))
    const given = usable
      .filter(({ required }) => required === true && isValid)
      .map(({ name, schema }): [string, string] => [name, textOf(this.#values.valid(schema))])
    while (usable.length > 0 && given.length < 4 && chance(0.5)) {
      const { name, schema, style } = pick(usable)
      if (
        isValid &&
        given.some(
          ([other]) => other === name || (style !== undefined && other.startsWith(`${name}[`))
        )
      )
        continue
      const value = isValid || chance(0.5) ? this.#values.valid(schema) : this.#values.odd()
      if (style === 'deepObject' && typeof value === 'object' && value !== null)
        for (const [key, one] of Object.entries(value)) given.push([`${name}[${key}]`, textOf(one)])
      else given.push([name, textOf(value)])
    }
    if (!isValid && chance(0.1)) given.push([pick(['unknown', 'id[', '__proto__', '']), '1'])
    for (const { name } of ofQuery) if (waits.has(name)) given.push([name, '0'])
    const query = given.map(pair => pair.map(part => encode(part)).join('='))
    return query.length > 0 ? `?${query.join('&')}` : ''
  }

  #headers(parameters: Parameter[], isValid: boolean): Record<string, string> {
    const { chance, pick } = this.#random
    if (!isValid && chance(0.3)) return Object.fromEntries([pick(oddHeaders)])
    const takesVersion = parameters.some(({ name }) => name === 'if-match')
    return takesVersion && chance(0.3) ? { 'if-match': `"${this.#random.integer(1, 3)}"` } : {}
  }

  #addBody(call: Call): void {
    const { chance, pick } = this.#random
    const contents = Object.entries(call.operation.requestBody?.content ?? {})
    if (contents.length === 0) return
    const [type, { schema }] = pick(contents)
    const isBatch = call.template === '/api/batch'
    const body = isBatch ? batchOf(this.#random, this.#values) : this.#values.valid(schema)
    const broken = call.isValid ? body : this.#broken(body)
    call.headers['content-type'] = call.isValid || chance(0.9) ? type : pick(oddTypes)
    call.body = type.endsWith('json') ? JSON.stringify(broken) : formOf(broken)
    if (!call.isValid && chance(0.03)) call.body = call.body.slice(0, -1)
    if (!call.isValid && chance(0.03)) call.body = ''
    // what operations take is not in the schema of a batch
    if (isBatch) call.isValid = false
  }

  /** A body with something odd in it, or in place of it. */
  #broken(body: unknown): unknown {
    const { chance, pick } = this.#random
    if (chance(0.1)) return this.#values.odd()
    if (chance(0.1)) return [body]
    if (typeof body !== 'object' || body === null) return this.#values.odd()
    const names = Object.keys(body)
    const name = names.length > 0 && chance(0.8) ? pick(names) : pick(['unknown', 'id', 'version'])
    return { ...body, [name]: this.#values.odd() }
  }
}

/** Percent-encoded, also if it is not well-formed. */
const encode = (text: string) => encodeURIComponent(text.toWellFormed().slice(0, 5000))

const formOf = (body: unknown): string =>
  Object.entries(Object(body) as object)
    .map(pair => pair.map(part => encode(textOf(part))).join('='))
    .join('&')

const textOf = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))

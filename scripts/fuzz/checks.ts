import { Ajv, type ValidateFunction } from 'ajv'
import formats from 'ajv-formats'
import type { LightMyRequestResponse } from 'fastify'
import type { Call } from './calls.ts'
import { resolve, type Document, type Schema } from './document.ts'

/** A schema of OpenAPI 3.0 in plain JSON Schema: `nullable` is a type. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  const { nullable, ...schema } = Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, plain(inner)])
  )
  if (nullable === true && typeof schema.type === 'string') schema.type = [schema.type, 'null']
  return schema
}

/** Checks responses against the published document with a validator that knows nothing else. */
export class Checks {
  readonly #document: Document
  readonly #ajv = new Ajv({ strict: false, allErrors: true, logger: false })
  readonly #compiled = new WeakMap<Schema, ValidateFunction>()

  constructor(document: Document) {
    this.#document = document
    ;(formats as unknown as typeof formats.default)(this.#ajv)
    this.#ajv.addSchema({ $id: 'document', ...(plain(document) as object) })
  }

  /** What is wrong with a response, in a few words; nothing if it is as documented. */
  *mistakes({ operation }: Call, answer: LightMyRequestResponse): Generator<string> {
    const { statusCode: status, headers, body } = answer
    if (status >= 500) yield `${status}: ${body.slice(0, 200)}`
    const documented = operation.responses[status]
    if (!documented) {
      yield `${status} is not documented`
      return
    }
    const response = resolve(this.#document, documented)
    yield* this.#headerMistakes(response.headers ?? {}, headers)
    const type = (headers['content-type'] ?? '').split(';', 1)[0]!
    if (response.content === undefined || body === '') {
      if (body !== '') yield `${status} has a body`
      return
    }
    const content = response.content[type]
    if (!content) yield `${status} is ${type || 'of no type'}, which is not documented`
    else if (type.endsWith('json') && type !== 'application/x-ndjson')
      yield* this.#bodyMistakes(status, content.schema, answer)
    if (status >= 400 && typeof answer.json().code !== 'string') yield `${status} has no code`
  }

  *#bodyMistakes(status: number, schema: Schema, answer: LightMyRequestResponse) {
    const check = this.#checkOf(schema)
    if (check(answer.json())) return
    const error = check.errors?.[0]
    if (error)
      yield `${status} body${error.instancePath.replaceAll(/\/\d+/g, '/*')} ${error.message}`
  }

  *#headerMistakes(
    documented: Record<string, { $ref?: string; schema: Schema }>,
    headers: LightMyRequestResponse['headers']
  ) {
    const names = new Set(Object.keys(documented).map(name => name.toLowerCase()))
    for (const name of ['etag', 'location', 'link', 'retry-after', 'www-authenticate'])
      if (headers[name] !== undefined && !names.has(name)) yield `undocumented header ${name}`
    for (const [name, reference] of Object.entries(documented)) {
      const value = headers[name.toLowerCase()]
      if (value === undefined) continue
      const { schema } = resolve(this.#document, reference)
      const sent = schema.type === 'integer' ? Number(value) : value
      if (!this.#checkOf(schema)(sent)) yield `header ${name} does not match its schema`
    }
  }

  #checkOf(schema: Schema): ValidateFunction {
    let check = this.#compiled.get(schema)
    if (!check) {
      const text = JSON.stringify(plain(schema)).replaceAll('"#/', '"document#/')
      this.#compiled.set(schema, (check = this.#ajv.compile(JSON.parse(text) as object)))
    }
    return check
  }
}

import { sample, stringMatching } from 'fast-check'
import { resolve, type Document, type Schema } from './document.ts'
import type { Random } from './random.ts'

/** Text that programs get wrong. */
const texts = [
  'plain',
  'Łukasz Ångström',
  '王小明',
  'مرحبا بالعالم',
  "O'Brien",
  '"quoted"',
  '=1+1',
  '100%_\\',
  '<script>alert(1)</script>',
  '👩‍👩‍👧‍👦',
  'e\u0301',
  '\u200b\u202ex',
  'a\tb\nc',
  '0',
  'null'
]
const instants = [
  '2026-11-22T09:00:00.000Z',
  '2024-02-29T23:59:59.999+14:00',
  '1970-01-01T00:00:00Z'
]
const dates = ['2026-11-22', '2024-02-29', '1970-01-01']
const formats: Record<string, readonly string[]> = {
  'idn-email': [
    'a@example.com',
    'info@müller.example',
    'Zoe.Quux+tag@Example.org',
    'x_y@sub.example.net'
  ],
  date: dates,
  'date-time': instants,
  'date-or-date-time': [...dates, ...instants],
  'date-time-or-duration': [...instants, '30d']
}

/** Values of every type, for places where none of them belongs. */
export const oddities: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1.5,
  0.1 + 0.2,
  1e308,
  2 ** 53,
  '',
  ' ',
  'NaN',
  '\u0000',
  '\ud800',
  'x'.repeat(70_000),
  '1e999',
  [],
  [[]],
  {},
  { id: 1 },
  { toString: 1, __proto__x: 2, constructor: 'x' },
  JSON.parse(`${'['.repeat(60)}${']'.repeat(60)}`)
]

/** Generates values by the schemas of a document. `ids`: those of existing records. */
export class Values {
  readonly document: Document
  readonly random: Random
  readonly ids: () => number
  readonly #matching = new Map<string, string[]>()

  constructor(document: Document, random: Random, ids: () => number) {
    this.document = document
    this.random = random
    this.ids = ids
  }

  /** A value that a schema allows, often at its limits. */
  valid(reference: Schema): unknown {
    const schema = resolve(this.document, reference)
    const { random } = this
    if (schema.nullable && random.chance(0.1)) return null
    if (schema.enum) return random.pick(schema.enum)
    if (schema.type === 'integer' && schema.format === 'int64') return this.ids()
    if (schema.type === 'integer' || schema.type === 'number') return this.#number(schema)
    if (schema.type === 'boolean') return random.chance(0.5)
    if (schema.type === 'array') return this.#array(schema)
    if (schema.type === 'object') return this.#object(schema)
    return this.#text(schema)
  }

  /** A value that has little to do with any schema. */
  odd(): unknown {
    return this.random.pick(oddities)
  }

  #number({ type, minimum = 0, maximum = 1000 }: Schema): number {
    const { random } = this
    if (random.chance(0.1)) return minimum
    if (random.chance(0.1)) return maximum
    const whole = random.integer(Math.max(minimum, -1000), Math.min(maximum, 10_000))
    return type === 'integer'
      ? whole
      : Math.min(maximum, (whole * 100 + random.integer(0, 99)) / 100)
  }

  #array({ items, minItems = 0, maxItems = 3 }: Schema): unknown[] {
    const length = this.random.integer(minItems, Math.max(minItems, Math.min(maxItems, 3)))
    const values = Array.from({ length }, () => this.valid(items!))
    const distinct = new Map(values.map(value => [JSON.stringify(value), value]))
    return [...distinct.values()]
  }

  #object({ properties = {}, required = [], minProperties = 0, ...map }: Schema): object {
    const { additionalProperties, 'x-key-pattern': keys } = map
    if (keys !== undefined && typeof additionalProperties === 'object') {
      const names = [this.#text({ pattern: keys, maxLength: 40 }), 'erp'].slice(
        this.random.integer(0, 2)
      )
      return Object.fromEntries(names.map(name => [name, this.valid(additionalProperties)]))
    }
    const known = Object.keys(properties)
    const names = known.filter(name => required.includes(name) || this.random.chance(0.4))
    if (names.length < minProperties && known.length > 0) names.push(this.random.pick(known))
    return Object.fromEntries(names.map(name => [name, this.valid(properties[name]!)]))
  }

  #text({ format, pattern, minLength = 0, maxLength = 100 }: Schema): string {
    const { random } = this
    const known = formats[format ?? '']
    if (known) return random.pick(known)
    if (pattern !== undefined)
      return random.pick(this.#textsMatching(pattern, minLength, maxLength))
    if (random.chance(0.05)) return 'x'.repeat(Math.min(maxLength, 2000))
    const text = random.pick(texts)
    const candidates = [`${text} ${random.integer(1, 1_000_000)}`, text]
    const fits = (candidate: string) => {
      // JSON Schema counts code points
      const { length } = Array.from(candidate)
      return length >= minLength && length <= maxLength
    }
    return candidates.find(fits) ?? 'x'.repeat(Math.max(minLength, 1))
  }

  #textsMatching(pattern: string, minLength: number, maxLength: number): string[] {
    const key = `${pattern} ${minLength} ${maxLength}`
    let found = this.#matching.get(key)
    if (!found) {
      const shape = new RegExp(pattern)
      const fits = (text: string) =>
        text.length >= minLength && text.length <= maxLength && shape.test(text)
      const all = sample(stringMatching(shape), { seed: 1, numRuns: 40 })
      // most are short
      const longer = all
        .filter(text => text !== '')
        .map(text => text.repeat(Math.ceil(minLength / text.length)))
      found = [...all, ...longer].filter(fits)
      this.#matching.set(key, found)
    }
    return found
  }
}

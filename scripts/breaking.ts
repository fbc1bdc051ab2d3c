interface Schema {
  $ref?: string
  type?: string
  format?: string
  nullable?: boolean
  enum?: unknown[]
  pattern?: string
  required?: string[]
  properties?: Record<string, Schema>
  items?: Schema
  oneOf?: Schema[]
  minimum?: number
  minLength?: number
  minItems?: number
  minProperties?: number
  maximum?: number
  maxLength?: number
  maxItems?: number
}
interface Message {
  $ref?: string
  required?: boolean
  headers?: Record<string, object>
  content?: Record<string, { schema: Schema }>
}
interface Parameter {
  $ref?: string
  name: string
  in: string
  required?: boolean
  schema: Schema
}
interface Operation {
  operationId: string
  security?: object[]
  parameters?: Parameter[]
  requestBody?: Message
  responses: Record<string, Message>
}
export interface Document {
  paths: Record<string, Record<string, Operation>>
  components?: {
    schemas?: Record<string, Schema>
    parameters?: Record<string, Parameter>
    responses?: Record<string, Message>
  }
}

const minimums = ['minimum', 'minLength', 'minItems', 'minProperties'] as const
const maximums = ['maximum', 'maxLength', 'maxItems'] as const

/** The values that a text can have: of an enum, or of a list such as `^(a|b)(,(a|b)){0,2}$`. */
const valuesOf = ({ enum: values, pattern = '' }: Schema) =>
  values ?? (/^\^\([\w|-]+\)/.test(pattern) ? pattern.match(/[\w-]+(?=[|)])/g) : null)

const nameOf = (reference: string): string => reference.split('/').at(-1)!

/** The operations of a document, by method and path. */
const operationsOf = ({ paths }: Document): Record<string, Operation> =>
  Object.fromEntries(
    Object.entries(paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, operation]) => [
        `${method.toUpperCase()} ${path}`,
        operation
      ])
    )
  )

/** The error codes that a document lists, all of which clients may handle. */
const errorCodesOf = ({ components }: Document): Record<string, true> => {
  const codes = components?.schemas?.Problem?.properties?.code?.enum ?? []
  return Object.fromEntries(codes.map(code => [String(code), true]))
}

/** The parameters of an operation, by their location and name. */
const parametersOf = ({ components }: Document, { parameters = [] }: Operation) =>
  Object.fromEntries(
    parameters
      .map(one => (one.$ref ? components!.parameters![nameOf(one.$ref)]! : one))
      .map(parameter => [`${parameter.in} ${parameter.name}`, parameter])
  )

/** The successful responses of an operation, by status. */
const successesOf = ({ components }: Document, { responses }: Operation) =>
  Object.fromEntries(
    Object.entries(responses)
      .filter(([status]) => status.startsWith('2'))
      .map(([status, { $ref, ...response }]) => [
        status,
        $ref ? components!.responses![nameOf($ref)]! : response
      ])
  )

/**
 * A schema without references. One of several kinds has the properties of all of them, and requires
 * what each of them requires.
 */
function resolved(document: Document, { $ref, ...plain }: Schema): Schema {
  const schema = $ref === undefined ? plain : (document.components?.schemas?.[nameOf($ref)] ?? {})
  if (!schema.oneOf) return schema
  const kinds = schema.oneOf.map(kind => resolved(document, kind))
  return {
    ...kinds[0],
    properties: Object.assign({}, ...kinds.map(({ properties }) => properties)),
    required: kinds
      .map(({ required = [] }) => required)
      .reduce((common, required) => common.filter(field => required.includes(field)))
  }
}

/** Which way a schema goes: clients send it, or receive it. */
type Direction = 'sent' | 'received'

class Comparison {
  readonly lines = new Set<string>()
  readonly #before: Document
  readonly #after: Document
  readonly #compared = new Set<string>()

  constructor(before: Document, after: Document) {
    this.#before = before
    this.#after = after
    this.#each('', operationsOf(before), operationsOf(after), (where, older, newer) => {
      this.#operation(where, older, newer)
    })
    this.#each('error code ', errorCodesOf(before), errorCodesOf(after))
  }

  #broken(where: string, what: string): void {
    this.lines.add(`${where} ${what}`)
  }

  /** Compares what both have by the same name. */
  #each<T>(
    where: string,
    older: Record<string, T> = {},
    newer: Record<string, T> = {},
    compare: (where: string, older: T, newer: T) => void = () => {}
  ): void {
    for (const [name, item] of Object.entries(older)) {
      if (newer[name] === undefined) this.#broken(`${where}${name}`, 'is gone')
      else compare(`${where}${name}`, item, newer[name])
    }
  }

  #operation(where: string, older: Operation, newer: Operation): void {
    if (newer.operationId !== older.operationId)
      this.#broken(where, `was called ${older.operationId} and is called ${newer.operationId}`)
    if (newer.security?.length && !older.security?.length) this.#broken(where, 'now needs a login')
    const [before, after] = [parametersOf(this.#before, older), parametersOf(this.#after, newer)]
    this.#each(`${where} `, before, after, (where, older, newer) => {
      this.#schema(where, 'sent', older.schema, newer.schema)
    })
    for (const [name, { required }] of Object.entries(after))
      if (required && !before[name]?.required) this.#broken(`${where} ${name}`, 'is now required')
    this.#message(`${where} body`, 'sent', older.requestBody, newer.requestBody)
    const responses = [successesOf(this.#before, older), successesOf(this.#after, newer)] as const
    this.#each(`${where} `, ...responses, (where, older, newer) => {
      this.#message(where, 'received', older, newer)
    })
  }

  #message(where: string, direction: Direction, older: Message = {}, newer: Message = {}): void {
    if (newer.required && !older.required) this.#broken(where, 'is now required')
    this.#each(`${where} header `, older.headers, newer.headers)
    this.#each(`${where} `, older.content, newer.content, (where, older, newer) => {
      this.#schema(where, direction, older.schema, newer.schema)
    })
  }

  /** What clients send may not be restricted further; what they receive may not lose anything. */
  #schema(place: string, direction: Direction, older: Schema, newer: Schema): void {
    const name = older.$ref && nameOf(older.$ref)
    if (name !== undefined && this.#compared.has(`${name} ${direction}`)) return
    this.#compared.add(`${name} ${direction}`)
    const where = name ?? place
    const [a, b] = [resolved(this.#before, older), resolved(this.#after, newer)]
    if (a.type !== b.type || a.format !== b.format)
      return this.#broken(where, `was ${a.format ?? a.type} and is ${b.format ?? b.type}`)
    this.#presence(where, direction, a, b)
    this.#each(`${where}.`, a.properties, b.properties, (where, a, b) => {
      this.#schema(where, direction, a, b)
    })
    if (a.items && b.items) this.#schema(`${where}[]`, direction, a.items, b.items)
    if (direction === 'sent') this.#limits(where, a, b)
  }

  #presence(where: string, direction: Direction, a: Schema, b: Schema): void {
    const isSent = direction === 'sent'
    const [narrow, wide] = isSent ? [a, b] : [b, a]
    if (narrow.nullable && !wide.nullable)
      this.#broken(where, isSent ? 'may no longer be null' : 'may now be null')
    for (const field of wide.required ?? [])
      if (!narrow.required?.includes(field))
        this.#broken(`${where}.${field}`, isSent ? 'is now required' : 'is no longer always there')
  }

  #limits(where: string, a: Schema, b: Schema): void {
    const accepted = valuesOf(b)
    if (accepted)
      for (const value of valuesOf(a) ?? ['any text'])
        if (!accepted.includes(value)) this.#broken(where, `no longer takes ${String(value)}`)
    for (const limit of minimums)
      if ((b[limit] ?? -Infinity) > (a[limit] ?? -Infinity))
        this.#broken(where, `has a ${limit} of ${b[limit]} now`)
    for (const limit of maximums)
      if ((b[limit] ?? Infinity) < (a[limit] ?? Infinity))
        this.#broken(where, `has a ${limit} of ${b[limit]} now`)
  }
}

/** What breaks clients of the older document in the newer one, a line each. Additions do not. */
export const breakingChanges = (before: Document, after: Document): string[] => [
  ...new Comparison(before, after).lines
]

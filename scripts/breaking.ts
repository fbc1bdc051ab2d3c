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
  anyOf?: Schema[]
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

/** Values of an enum, or of the pattern of a list such as `^(a|b)(,(a|b)){0,2}$`. */
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

/** The error codes of a document, as keys. */
const errorCodesOf = ({ components }: Document): Record<string, true> => {
  const codes = components?.schemas?.Problem?.properties?.code?.enum ?? []
  return Object.fromEntries(codes.map(code => [String(code), true]))
}

/** The parameters of an operation, by their location and name. */
const parametersOf = ({ components }: Document, { parameters = [] }: Operation) =>
  Object.fromEntries(
    parameters
      .map(item => (item.$ref ? components!.parameters![nameOf(item.$ref)]! : item))
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

/** The names of the members of a union of named schemas: a record may contain one of its kind. */
function unionNameOf({ oneOf, anyOf }: Schema): string | undefined {
  const references = (oneOf ?? anyOf ?? []).flatMap(({ $ref }) => $ref ?? [])
  return references.length > 0 ? references.map(nameOf).join('|') : undefined
}

/**
 * A schema without `$ref`, `oneOf` and `anyOf`: a union has the properties of all its members, and
 * requires the fields that each of them requires.
 */
function resolve(document: Document, { $ref, ...plain }: Schema): Schema {
  const schema = $ref === undefined ? plain : (document.components?.schemas?.[nameOf($ref)] ?? {})
  const union = schema.oneOf ?? schema.anyOf
  if (!union) return schema
  const members = union.map(member => resolve(document, member))
  return {
    ...members[0],
    nullable: members.some(({ nullable }) => nullable),
    properties: Object.assign({}, ...members.map(({ properties }) => properties)),
    required: members
      .map(({ required = [] }) => required)
      .reduce((common, required) => common.filter(field => required.includes(field)))
  }
}

/** Whether clients send or receive a schema. */
type Direction = 'sent' | 'received'

class Comparison {
  readonly changes = new Set<string>()
  readonly #before: Document
  readonly #after: Document
  readonly #compared = new Set<string>()

  constructor(before: Document, after: Document) {
    this.#before = before
    this.#after = after
    const operations = [operationsOf(before), operationsOf(after)] as const
    this.#compareAll('', ...operations, (where, before, after) => {
      this.#compareOperations(where, before, after)
    })
    this.#compareAll('error code ', errorCodesOf(before), errorCodesOf(after))
  }

  #add(where: string, change: string): void {
    this.changes.add(`${where} ${change}`)
  }

  /** Compares items of the same name. Missing ones are changes, new ones are not. */
  #compareAll<T>(
    where: string,
    before: Record<string, T> = {},
    after: Record<string, T> = {},
    compare: (where: string, before: T, after: T) => void = () => {}
  ): void {
    for (const [name, item] of Object.entries(before)) {
      if (after[name] === undefined) this.#add(`${where}${name}`, 'is gone')
      else compare(`${where}${name}`, item, after[name])
    }
  }

  #compareOperations(where: string, before: Operation, after: Operation): void {
    if (after.operationId !== before.operationId)
      this.#add(where, `was called ${before.operationId} and is called ${after.operationId}`)
    if (after.security?.length && !before.security?.length) this.#add(where, 'now needs a login')
    this.#compareParameters(where, before, after)
    this.#compareMessages(`${where} body`, 'sent', before.requestBody, after.requestBody)
    const responses = [successesOf(this.#before, before), successesOf(this.#after, after)] as const
    this.#compareAll(`${where} `, ...responses, (where, before, after) => {
      this.#compareMessages(where, 'received', before, after)
    })
  }

  #compareParameters(where: string, ...operations: [before: Operation, after: Operation]): void {
    const before = parametersOf(this.#before, operations[0])
    const after = parametersOf(this.#after, operations[1])
    this.#compareAll(`${where} `, before, after, (where, before, after) => {
      this.#compareSchemas(where, 'sent', before.schema, after.schema)
    })
    for (const [name, { required }] of Object.entries(after))
      if (required && !before[name]?.required) this.#add(`${where} ${name}`, 'is now required')
  }

  #compareMessages(
    where: string,
    direction: Direction,
    before: Message = {},
    after: Message = {}
  ): void {
    if (after.required && !before.required) this.#add(where, 'is now required')
    this.#compareAll(`${where} header `, before.headers, after.headers)
    this.#compareAll(`${where} `, before.content, after.content, (where, before, after) => {
      this.#compareSchemas(where, direction, before.schema, after.schema)
    })
  }

  /** Compares each named schema, and each union of them, once per direction. */
  #compareSchemas(where: string, direction: Direction, before: Schema, after: Schema): void {
    const name = before.$ref && nameOf(before.$ref)
    const key = name ?? unionNameOf(before)
    if (key !== undefined && this.#compared.has(`${key} ${direction}`)) return
    this.#compared.add(`${key} ${direction}`)
    const schemas = [resolve(this.#before, before), resolve(this.#after, after)] as const
    this.#compareResolved(name ?? where, direction, ...schemas)
  }

  /** Limits on what clients send must not become stricter; fields they receive must stay. */
  #compareResolved(where: string, direction: Direction, before: Schema, after: Schema): void {
    if (before.type !== after.type || before.format !== after.format) {
      const [was, is] = [before.format ?? before.type, after.format ?? after.type]
      return this.#add(where, `was ${was} and is ${is}`)
    }
    this.#comparePresence(where, direction, before, after)
    this.#compareAll(`${where}.`, before.properties, after.properties, (where, before, after) => {
      this.#compareSchemas(where, direction, before, after)
    })
    if (before.items && after.items)
      this.#compareSchemas(`${where}[]`, direction, before.items, after.items)
    if (direction === 'sent') this.#compareLimits(where, before, after)
  }

  #comparePresence(where: string, direction: Direction, before: Schema, after: Schema): void {
    const isSent = direction === 'sent'
    const [narrow, wide] = isSent ? [before, after] : [after, before]
    if (narrow.nullable && !wide.nullable)
      this.#add(where, isSent ? 'may no longer be null' : 'may now be null')
    for (const field of wide.required ?? [])
      if (!narrow.required?.includes(field))
        this.#add(`${where}.${field}`, isSent ? 'is now required' : 'is no longer always there')
  }

  #compareLimits(where: string, before: Schema, after: Schema): void {
    const accepted = valuesOf(after)
    if (accepted)
      for (const value of valuesOf(before) ?? ['any text'])
        if (!accepted.includes(value)) this.#add(where, `no longer takes ${String(value)}`)
    for (const limit of minimums)
      if ((after[limit] ?? -Infinity) > (before[limit] ?? -Infinity))
        this.#add(where, `has a ${limit} of ${after[limit]} now`)
    for (const limit of maximums)
      if ((after[limit] ?? Infinity) < (before[limit] ?? Infinity))
        this.#add(where, `has a ${limit} of ${after[limit]} now`)
  }
}

/** The changes in `after` that break clients of `before`, a line each. Additions break none. */
export const breakingChanges = (before: Document, after: Document): string[] => [
  ...new Comparison(before, after).changes
]

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

const least = ['minimum', 'minLength', 'minItems', 'minProperties'] as const
const most = ['maximum', 'maxLength', 'maxItems'] as const
/** The values a text can have: of an enum, or of a list such as `^(a|b)(,(a|b)){0,2}$`. */
const valuesOf = ({ enum: values, pattern = '' }: Schema) =>
  values ?? (/^\^\([\w|-]+\)/.test(pattern) ? pattern.match(/[\w-]+(?=[|)])/g) : null)

const operationsOf = ({ paths }: Document) =>
  Object.fromEntries(
    Object.entries(paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, operation]) => [
        `${method.toUpperCase()} ${path}`,
        operation
      ])
    )
  )
/** The parameters of an operation, by their place and name; shared ones are references. */
const parametersOf = ({ components }: Document, { parameters = [] }: Operation) =>
  Object.fromEntries(
    parameters
      .map(one => (one.$ref ? components!.parameters![one.$ref.split('/').at(-1)!]! : one))
      .map(parameter => [`${parameter.in} ${parameter.name}`, parameter])
  )
/** The successful responses of an operation, by status; shared ones are references. */
const successesOf = ({ components }: Document, { responses }: Operation) =>
  Object.fromEntries(
    Object.entries(responses)
      .filter(([status]) => status.startsWith('2'))
      .map(([status, { $ref, ...response }]) => [
        status,
        $ref ? components!.responses![$ref.split('/').at(-1)!]! : response
      ])
  )

/**
 * What a schema says; one of several kinds says what any of them does, and always what all of them
 * do.
 */
function resolved(document: Document, { $ref, ...plain }: Schema): Schema {
  const schema =
    $ref === undefined ? plain : (document.components?.schemas?.[$ref.split('/').at(-1)!] ?? {})
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

/**
 * What a client of the older document would trip over in the newer one, a line each. Additions are
 * none of it.
 */
export function breakingChanges(before: Document, after: Document): string[] {
  const lines = new Set<string>()
  const broken = (where: string, what: string) => {
    lines.add(`${where} ${what}`)
  }
  const seen = new Set<string>()

  /** Compares what both have by the same name. */
  function each<T>(
    where: string,
    older: Record<string, T> = {},
    newer: Record<string, T> = {},
    compare: (where: string, older: T, newer: T) => void = () => {}
  ) {
    for (const [name, thing] of Object.entries(older)) {
      if (newer[name] === undefined) broken(`${where}${name}`, 'is gone')
      else compare(`${where}${name}`, thing, newer[name])
    }
  }

  /**
   * What the client sends may not be held to more than before; what it receives may not say less.
   */
  function schema(place: string, sent: boolean, older: Schema, newer: Schema) {
    const name = older.$ref?.split('/').at(-1)
    if (name !== undefined && seen.has(`${name} ${sent}`)) return
    seen.add(`${name} ${sent}`)
    const where = name ?? place
    const [a, b] = [resolved(before, older), resolved(after, newer)]
    const [narrow, wide] = sent ? [a, b] : [b, a]
    if (a.type !== b.type || a.format !== b.format)
      return broken(where, `was ${a.format ?? a.type} and is ${b.format ?? b.type}`)
    if (narrow.nullable && !wide.nullable)
      broken(where, sent ? 'may no longer be null' : 'may now be null')
    for (const field of wide.required ?? [])
      if (!narrow.required?.includes(field))
        broken(`${where}.${field}`, sent ? 'is now required' : 'is no longer always there')
    each(`${where}.`, a.properties, b.properties, (where, a, b) => {
      schema(where, sent, a, b)
    })
    if (a.items && b.items) schema(`${where}[]`, sent, a.items, b.items)
    if (!sent) return
    const taken = valuesOf(b)
    if (taken)
      for (const value of valuesOf(a) ?? ['any text'])
        if (!taken.includes(value)) broken(where, `no longer takes ${String(value)}`)
    for (const limit of least)
      if ((b[limit] ?? -Infinity) > (a[limit] ?? -Infinity))
        broken(where, `has a ${limit} of ${b[limit]} now`)
    for (const limit of most)
      if ((b[limit] ?? Infinity) < (a[limit] ?? Infinity))
        broken(where, `has a ${limit} of ${b[limit]} now`)
  }

  function message(where: string, sent: boolean, older: Message = {}, newer: Message = {}) {
    if (newer.required && !older.required) broken(where, 'is now required')
    each(`${where} header `, older.headers, newer.headers)
    each(`${where} `, older.content, newer.content, (where, a, b) => {
      schema(where, sent, a.schema, b.schema)
    })
  }

  each('', operationsOf(before), operationsOf(after), (where, older, newer) => {
    if (newer.operationId !== older.operationId)
      broken(where, `was called ${older.operationId} and is called ${newer.operationId}`)
    if (newer.security?.length && !older.security?.length) broken(where, 'now needs a login')
    const [given, taken] = [parametersOf(before, older), parametersOf(after, newer)]
    each(`${where} `, given, taken, (where, a, b) => {
      schema(where, true, a.schema, b.schema)
    })
    for (const [name, { required }] of Object.entries(taken))
      if (required && !given[name]?.required) broken(`${where} ${name}`, 'is now required')
    message(`${where} body`, true, older.requestBody, newer.requestBody)
    each(`${where} `, successesOf(before, older), successesOf(after, newer), (where, a, b) => {
      message(where, false, a, b)
    })
  })
  return [...lines]
}

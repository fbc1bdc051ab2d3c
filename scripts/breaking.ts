interface Schema {
  $ref?: string, type?: string, format?: string, nullable?: boolean, enum?: unknown[], pattern?: string, required?: string[]
  properties?: Record<string, Schema>, items?: Schema
  minimum?: number, minLength?: number, minItems?: number, minProperties?: number, maximum?: number, maxLength?: number, maxItems?: number
}
interface Message { required?: boolean, headers?: object, content?: Record<string, { schema: Schema }> }
interface Parameter { name: string, in: string, required?: boolean, schema: Schema }
interface Operation { operationId: string, security?: object[], parameters?: Parameter[], requestBody?: Message, responses: Record<string, Message> }
export interface Document { paths: Record<string, Record<string, Operation>>, components?: { schemas?: Record<string, Schema> } }

const least = ['minimum', 'minLength', 'minItems', 'minProperties'] as const
const most = ['maximum', 'maxLength', 'maxItems'] as const
/** The values a text can have: of an enum, or of a list such as `^(a|b)(,(a|b)){0,2}$`. */
const valuesOf = ({ enum: values, pattern = '' }: Schema) => values ?? (/^\^\([\w|-]+\)/.test(pattern) ? pattern.match(/[\w-]+(?=[|)])/g) : null)

/** What a client of the older document would trip over in the newer one, a line each. Additions are none of it. */
export function breakingChanges (before: Document, after: Document): string[] {
  const lines = new Set<string>()
  const broken = (where: string, what: string) => lines.add(`${where} ${what}`)
  const seen = new Set<string>()

  /** What the client sends may not be held to more than before; what it receives may not say less. */
  function compare (place: string, sent: boolean, older: Schema, newer: Schema) {
    const name = older.$ref?.split('/').at(-1)
    if (name !== undefined && seen.has(`${name} ${sent}`)) return
    if (name !== undefined) seen.add(`${name} ${sent}`)
    const where = name ?? place
    const [a, b] = [resolved(before, older), resolved(after, newer)]
    const [narrow, wide] = sent ? [a, b] : [b, a]
    if (a.type !== b.type || a.format !== b.format) broken(where, `was ${a.format ?? a.type} and is ${b.format ?? b.type}`)
    if (narrow.nullable && !wide.nullable) broken(where, sent ? 'may no longer be null' : 'may now be null')
    for (const field of wide.required ?? []) if (!narrow.required?.includes(field)) broken(`${where}.${field}`, sent ? 'is now required' : 'is no longer always there')
    for (const [field, schema] of Object.entries(a.properties ?? {})) {
      const same = b.properties?.[field]
      if (same) compare(`${where}.${field}`, sent, schema, same)
      else broken(`${where}.${field}`, 'is gone')
    }
    if (a.items && b.items) compare(`${where}[]`, sent, a.items, b.items)
    if (!sent) return
    const taken = valuesOf(b)
    if (taken) for (const value of valuesOf(a) ?? ['any text']) if (!taken.includes(value)) broken(where, `no longer takes ${String(value)}`)
    for (const limit of least) if ((b[limit] ?? -Infinity) > (a[limit] ?? -Infinity)) broken(where, `has a ${limit} of ${b[limit]} now`)
    for (const limit of most) if ((b[limit] ?? Infinity) < (a[limit] ?? Infinity)) broken(where, `has a ${limit} of ${b[limit]} now`)
  }

  function message (where: string, sent: boolean, older: Message, newer: Message | undefined) {
    if (!newer) {
      broken(where, 'is gone')
      return
    }
    for (const header of Object.keys(older.headers ?? {})) if (!(header in (newer.headers ?? {}))) broken(`${where} header ${header}`, 'is gone')
    for (const [type, { schema }] of Object.entries(older.content ?? {})) {
      const same = newer.content?.[type]
      if (same) compare(`${where} ${type}`, sent, schema, same.schema)
      else broken(`${where} ${type}`, 'is gone')
    }
  }

  for (const [path, operations] of Object.entries(before.paths)) {
    for (const [method, older] of Object.entries(operations)) {
      const where = `${method.toUpperCase()} ${path}`
      const newer = after.paths[path]?.[method]
      if (!newer) {
        broken(where, 'is gone')
        continue
      }
      if (newer.operationId !== older.operationId) broken(where, `was called ${older.operationId} and is called ${newer.operationId}`)
      if (newer.security?.length && !older.security?.length) broken(where, 'now needs a login')
      const find = (parameters: Parameter[] = [], wanted: Parameter) => parameters.find(({ name, in: place }) => name === wanted.name && place === wanted.in)
      for (const parameter of older.parameters ?? []) {
        const same = find(newer.parameters, parameter)
        if (same) compare(`${where} ${parameter.name}`, true, parameter.schema, same.schema)
        else broken(`${where} parameter ${parameter.name}`, 'is gone')
      }
      for (const parameter of newer.parameters ?? []) if (parameter.required && !find(older.parameters, parameter)?.required) broken(`${where} parameter ${parameter.name}`, 'is now required')
      if (newer.requestBody?.required && !older.requestBody?.required) broken(`${where} body`, 'is now required')
      if (older.requestBody) message(`${where} body`, true, older.requestBody, newer.requestBody)
      for (const [status, answer] of Object.entries(older.responses)) if (status.startsWith('2')) message(`${where} ${status}`, false, answer, newer.responses[status])
    }
  }
  return [...lines]
}

const resolved = (document: Document, { $ref, ...schema }: Schema): Schema => $ref === undefined ? schema : document.components?.schemas?.[$ref.split('/').at(-1)!] ?? {}

import { hasPartial } from '../../core/http/schema.ts'
import { reference, type Operation, type Reference, type Response } from './document.ts'

interface Schema {
  description?: string
  properties?: Record<string, object>
  required?: string[]
  [hasPartial]?: boolean
}
interface Page extends Schema {
  properties: { data: { items: object } }
}
export type Schemas = Record<string, Schema>

/**
 * Describes that records are returned of which only some fields are there: those requested with
 * `fields`, or those that the caller sees. They are either a `Contact` or a `PartialContact`, which
 * requires none. Generated clients have both types, and the fields of the usual one are required.
 */
export function describePartialRecords(operations: Operation[], schemas: Schemas): void {
  for (const [name, schema] of Object.entries(schemas))
    if (hasPartial in schema) {
      delete schema[hasPartial]
      addPartial(name, schemas)
    }
  for (const { parameters = [], responses } of operations) {
    if (!parameters.some(one => 'name' in one && one.name === 'fields')) continue
    for (const [status, response] of Object.entries(responses))
      if (status.startsWith('2') && !('$ref' in response)) describeResponse(response, schemas)
  }
  for (const schema of Object.values(schemas)) describeParts(schema, schemas)
}

/** Describes the records that are a part of something else, such as in `included`. */
function describeParts({ properties = {} }: Schema, schemas: Schemas): void {
  for (const [name, property] of Object.entries(properties)) {
    if (isPage({ properties })) return
    const record = nameIn(property)
    if (record !== undefined && isPartial(record, schemas))
      properties[name] = wholeOrPartial(record, schemas)
    const { items } = property as { items?: object }
    const item = nameIn(items)
    if (item !== undefined && isPartial(item, schemas))
      Object.assign(property, { items: wholeOrPartial(item, schemas) })
    if ('properties' in property) describeParts(property as Schema, schemas)
  }
}

function describeResponse({ content = {} }: Response, schemas: Schemas): void {
  const json = content['application/json']
  const record = nameIn(json?.schema)
  if (!json || record === undefined) return
  const page = schemas[record]
  if (!isPage(page)) json.schema = wholeOrPartial(record, schemas)
  else {
    const { data } = page.properties
    const item = nameIn(data.items)
    if (item !== undefined) data.items = wholeOrPartial(item, schemas)
  }
}

const isPage = (schema: Schema | undefined): schema is Page =>
  schema?.properties?.data !== undefined && 'items' in schema.properties.data

const nameIn = (schema: object | undefined): string | undefined =>
  schema && '$ref' in schema ? (schema as Reference).$ref.split('/').at(-1) : undefined

const partialName = (record: string) => `Partial${record}`
const isPartial = (record: string, schemas: Schemas) => partialName(record) in schemas

function wholeOrPartial(record: string, schemas: Schemas): object {
  addPartial(record, schemas)
  return {
    anyOf: [reference('schemas', record), reference('schemas', partialName(record))]
  }
}

function addPartial(record: string, schemas: Schemas): void {
  const { required: _, ...whole } = schemas[record]!
  schemas[partialName(record)] ??= {
    ...whole,
    description:
      `${whole.description} Only the fields requested with \`fields\`, and those that the user ` +
      'sees.'
  }
}

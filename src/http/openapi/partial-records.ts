import { reference, type Operation, type Reference, type Response } from './document.ts'

interface Schema {
  description?: string
  properties?: Record<string, object>
  required?: string[]
}
interface Page extends Schema {
  properties: { data: { items: object } }
}
export type Schemas = Record<string, Schema>

/**
 * Describes that an operation with the parameter `fields` returns records of which only the
 * requested fields are there: they are either a `Contact` or a `PartialContact`, which requires
 * none. Generated clients have both types, and the fields of the usual one are required.
 */
export function describePartialRecords(operations: Operation[], schemas: Schemas): void {
  for (const { parameters = [], responses } of operations) {
    if (!parameters.some(one => 'name' in one && one.name === 'fields')) continue
    for (const [status, response] of Object.entries(responses))
      if (status.startsWith('2') && !('$ref' in response)) describeResponse(response, schemas)
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

function wholeOrPartial(record: string, schemas: Schemas): object {
  const partial = `Partial${record}`
  const { required: _, ...whole } = schemas[record]!
  schemas[partial] ??= {
    ...whole,
    description: `${whole.description} Only the fields requested with \`fields\`.`
  }
  return { anyOf: [reference('schemas', record), reference('schemas', partial)] }
}

import { effects } from '../standard-schemas.ts'
import { reference, type Operation, type Reference } from './document.ts'
import type { Schemas } from './partial-records.ts'

interface Described {
  properties?: Record<string, object>
}

/** Describes the `effects` in the responses of operations that can be tried. */
export function describeDryRuns(operations: Operation[], schemas: Schemas): void {
  const inDocument = { ...effects, items: reference('schemas', 'Effect') }
  for (const { parameters = [], responses } of operations) {
    if (!parameters.some(one => 'name' in one && one.name === 'if-plan')) continue
    for (const [status, response] of Object.entries(responses)) {
      if (!status.startsWith('2') || '$ref' in response) continue
      const schema = response.content?.['application/json']?.schema
      if (schema) addTo(schema, schemas, inDocument)
    }
  }
}

function addTo(schema: object, schemas: Schemas, inDocument: object): void {
  const name = (schema as Partial<Reference>).$ref?.split('/').at(-1)
  const described = (name === undefined ? schema : schemas[name]) as Described
  if (described.properties) described.properties.effects ??= inDocument
}

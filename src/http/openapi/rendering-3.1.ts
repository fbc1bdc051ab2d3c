import { pascalCase } from '../../core/names.ts'
import { resourceNamed } from '../../core/records/resource.ts'
import { eventTypes } from '../../modules/integrations/events/types.ts'
import { reference, type Document } from './document.ts'

interface Schema {
  type?: string | string[]
  nullable?: boolean
  properties?: Record<string, Schema>
  required?: string[]
  description?: string
}
type Schemas = Record<string, Schema>

/**
 * A document of OpenAPI 3.0 as one of 3.1, which also has `webhooks`: the message of each type of
 * event.
 */
export function renderingIn31(document: Document): object {
  const { openapi: _, ...rest } = withoutNullable(document) as Document & { openapi: string }
  const schemas = rest.components!.schemas as Schemas
  return {
    openapi: '3.1.1',
    ...rest,
    components: { ...rest.components, schemas: { ...schemas, ...messagesOf(schemas) } },
    webhooks: Object.fromEntries(eventTypes().map(({ type }) => [type, { post: webhookOf(type) }]))
  }
}

/** JSON Schema has a type for null. */
function withoutNullable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNullable)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([name, one]) => [name, withoutNullable(one)] as const)
  const { nullable, ...schema } = Object.fromEntries(entries) as Schema
  return nullable ? { ...schema, type: [schema.type, 'null'] } : schema
}

const messageName = (subject: string) => `${pascalCase(subject)}Message`

/** The messages about records of each type. Of a record, each field can be missing. */
function messagesOf(schemas: Schemas): Schemas {
  const { FeedEvent } = schemas as { FeedEvent: Required<Schema> }
  const { previous: _, ...common } = FeedEvent.properties
  // `thin` messages lack the record, and its name
  const subject = { ...common.subject, required: ['type', 'id'] }
  const optional = new Set(['previous', 'before', 'after'])
  const required = FeedEvent.required.filter(name => !optional.has(name))
  const subjects = new Set(eventTypes().map(({ subject }) => subject))
  return Object.fromEntries(
    [...subjects].map(name => {
      const { schema, label } = resourceNamed(name)
      const record = schema?.$id ? schemas[schema.$id]! : {}
      const state = (when: string) => ({
        type: ['object', 'null'],
        description: `Fields of the ${label} ${when}.`,
        properties: record.properties ?? {}
      })
      const properties = {
        ...common,
        subject,
        before: state('before it'),
        after: state('after it')
      }
      const data = { type: 'object', description: 'The event.', required, properties }
      return [messageName(name), messageWith(data, label)]
    })
  )
}

const messageWith = (data: Schema, label: string): Schema => ({
  type: 'object',
  description: `What a webhook sends about a change of a ${label}.`,
  required: ['type', 'timestamp', 'data'],
  properties: {
    type: { type: 'string', description: 'Type of event.' },
    timestamp: { type: 'string', description: 'Time of the change.' },
    data
  }
})

const header = (name: string, description: string) => ({
  name,
  in: 'header',
  required: true,
  description,
  schema: { type: 'string' }
})

const webhookOf = (type: string) => ({
  operationId: `on${pascalCase(type.replace('.', '_'))}`,
  summary: type,
  description: 'Sent to the webhooks that want it; see `POST /api/webhooks`.',
  tags: ['webhooks'],
  parameters: [
    header('webhook-id', 'ID of the message, the same when it is sent again.'),
    header('webhook-timestamp', 'When it was sent, in seconds since 1970.'),
    header('webhook-signature', 'Signatures, separated by spaces (Standard Webhooks).')
  ],
  requestBody: {
    required: true,
    content: {
      'application/json': { schema: reference('schemas', messageName(type.split('.')[0]!)) }
    }
  },
  responses: {
    '2XX': { description: 'It was received.' },
    '410': { description: 'The webhook is to send nothing more.' }
  }
})

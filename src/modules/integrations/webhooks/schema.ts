import { Type } from '@sinclair/typebox'
import {
  Change,
  Count,
  Creation,
  explained,
  FieldNames,
  Id,
  Instant,
  Nullable,
  OneOf,
  RecordOf,
  Text
} from '../../../core/http/schema.ts'
import { filterMoments } from '../../../core/records/feed.ts'
import { cursorText, FeedQuery } from '../events/schema.ts'
import { formats, pauseReasons } from './table.ts'

const { types, filter_on } = FeedQuery.properties

const fields = {
  url: Type.String({
    minLength: 8,
    maxLength: 2000,
    pattern: explained(
      '^https?://[^\\s#@]+$',
      'must be an https URL without spaces, a fragment and credentials',
      'url'
    ),
    description:
      'URL that events are sent to: https, of a public server or of one in `OUTBOUND_NETWORKS`.',
    example: 'https://hooks.example.com/crm'
  }),
  description: Nullable(Text(500, { description: 'Purpose of the webhook.', example: 'ERP' })),
  types: Nullable(
    Type.String({
      maxLength: 2000,
      pattern: types.pattern!,
      description:
        'Types of events, separated by commas: `contact.updated`, or `contact.*` for all events ' +
        'of contacts. Null: all that its author may read.',
      example: 'contact.*'
    })
  ),
  filter: Nullable(
    Text(4000, {
      description:
        'Filters by fields of the record, as in the query string of its list (`status=new`, ' +
        'percent-encoded). All `types` must then be of one kind of record.',
      example: null
    })
  ),
  filter_on: OneOf(filterMoments, {
    default: 'change',
    description: filter_on.description!,
    example: 'change'
  }),
  fields: Nullable({
    ...FieldNames('Fields that `before` and `after` contain. Null: all.', []),
    example: null
  }),
  format: OneOf(formats, {
    default: 'full',
    description: '`full` events, or `thin` ones without `before`, `after` and the name.',
    example: 'full'
  }),
  is_active: Type.Boolean({
    default: true,
    description:
      'Whether events are sent. What happens while it is inactive is sent once it is active again.',
    example: true
  })
}

export const Webhook = RecordOf('Webhook', 'A server that events are sent to.', {
  ...fields,
  author_id: Id({
    description:
      'User whose rights decide what is sent: the one who created the webhook or last changed it.',
    example: 1
  }),
  paused_at: Nullable(
    Instant({ description: 'Time at which the system paused it.', example: null })
  ),
  paused_reason: Nullable(
    OneOf(pauseReasons, {
      description:
        'Reason for the pause: `gone`, its receiver responded with 410; `failing`, at least 20 ' +
        'attempts in a row failed over 24 hours; `author`, its author is disabled or has lost a ' +
        'permission for it.',
      example: null
    })
  ),
  cursor: cursorText(
    'Place in the feed up to which events are sent or waiting.',
    '17-b5bb9d8014a0'
  ),
  failures: Count({ description: 'Failed attempts since the last success.', example: 0 }),
  failing_since: Nullable(
    Instant({ description: 'Time of the first of these failures.', example: null })
  ),
  previous_until: Nullable(
    Instant({
      description: 'Time until which messages are also signed with the previous secret.',
      example: null
    })
  )
})

export const NewWebhook = Creation('NewWebhook', fields, ['url'], {
  url: 'https://hooks.example.com/crm',
  types: 'contact.*'
})
export const WebhookChanges = Change('WebhookChanges', fields, { types: 'contact.*,lead.created' })

/** The webhook with its secret, in the only responses that have it. */
export const IssuedWebhook = Type.Object(
  {
    ...Webhook.properties,
    secret: Text(60, {
      description:
        'Secret with which receivers verify signatures (Standard Webhooks). It is never shown ' +
        'again.',
      example: 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'
    })
  },
  { $id: 'IssuedWebhook', additionalProperties: false, description: 'A webhook with its secret.' }
)

import { Type } from '@sinclair/typebox'
import { cursorPattern, filterMoments } from '../../../core/records/feed.ts'
import { explained, Id, Instant, Nullable, OneOf, Text } from '../../../core/http/schema.ts'
import { Event } from '../../identity/audit/schema.ts'

export const cursorText = (description: string, example: string) =>
  Text(40, {
    pattern: explained(cursorPattern, 'must be a cursor of the feed', 'cursor'),
    description,
    example
  })

const { changed, before, after, operation_id } = Event.properties

export const FeedEvent = Type.Object(
  {
    cursor: cursorText('Place of the event in the feed.', '17-b5bb9d8014a0'),
    previous: cursorText(
      'Cursor of the previous event that the caller got, or the one that reading began with. If ' +
        'it differs from the last cursor that you have, you have missed something.',
      '16-5891b5b522d5'
    ),
    id: Id({ description: 'Event ID, the same wherever the event is seen.', example: 17 }),
    type: Text(60, {
      description: 'Type: `<record>.created`, `.updated`, `.deleted`, `.restored` or `.purged`.',
      example: 'contact.updated'
    }),
    subject: Type.Object(
      {
        type: Text(40, { description: 'Type of the record.', example: 'contact' }),
        id: Id({ description: 'Record ID.', example: 1 }),
        name: Nullable(
          Text(1000, { description: 'Name of the record after the event.', example: 'Jo Doe' })
        )
      },
      { additionalProperties: false, description: 'The record.' }
    ),
    version: Nullable(
      Type.Integer({
        format: 'int32',
        minimum: 1,
        maximum: 2 ** 31 - 1,
        description: 'Version of the record after the event; null for records without versions.',
        example: 2
      })
    ),
    changed,
    before,
    after,
    actor: Nullable(
      Type.Object(
        {
          id: Id({ description: 'User ID.', example: 1 }),
          name: Nullable(Text(300, { description: 'Name of the user.', example: 'admin' }))
        },
        {
          additionalProperties: false,
          description: 'User who made the change; null for the system.'
        }
      )
    ),
    credential: Nullable(
      Type.Object(
        {
          type: OneOf(['session', 'api_token'], {
            description: 'Kind of credential.',
            example: 'session'
          }),
          id: Id({ description: 'ID of the session or API token.', example: 2 })
        },
        {
          additionalProperties: false,
          description: 'Credential of the request; null for a change without one.'
        }
      )
    ),
    request_id: Nullable(
      Text(64, { description: '`X-Request-Id` of the request.', example: 'k3v9x2a1-1f' })
    ),
    operation_id,
    at: Instant({ description: 'Time of the change.', example: '2026-11-22T09:00:00.000Z' })
  },
  { $id: 'FeedEvent', additionalProperties: false, description: 'A change of a record.' }
)

export const FeedPage = Type.Object(
  {
    data: Type.Array(Type.Ref('FeedEvent'), {
      maxItems: 500,
      description: 'Events, in the order of the feed.'
    }),
    has_more: Type.Boolean({
      description: 'Whether there may be more after `next_cursor` now.',
      example: false
    }),
    next_cursor: cursorText(
      '`after` of the next request, even if the page has no events.',
      '17-b5bb9d8014a0'
    )
  },
  { $id: 'FeedPage', additionalProperties: false, description: 'A page of the feed.' }
)

const selection = {
  types: Type.Optional(
    Type.String({
      maxLength: 2000,
      pattern: explained(
        '^[a-z_]+[.]([a-z_]+|[*])(,[a-z_]+[.]([a-z_]+|[*])){0,49}$',
        'must be up to 50 types, such as contact.updated or contact.*, separated by commas',
        'names'
      ),
      description:
        'Types of events, separated by commas: `contact.updated`, or `contact.*` for all events ' +
        'of contacts. Default: all that the caller may read.',
      examples: ['contact.*']
    })
  ),
  filter: Type.Optional(
    Text(4000, {
      minLength: 1,
      description:
        'Filters by fields of the record, as in the query string of its list (`status=new`, ' +
        'percent-encoded). All `types` must then be of one kind of record.',
      examples: ['last_name=Doe']
    })
  ),
  filter_on: Type.Optional(
    OneOf(filterMoments, {
      default: 'change',
      description:
        'With `filter`: `change` for events of records that match it before or after, `enter` ' +
        'for those that make a record match, `leave` for those that make it cease to.',
      examples: ['change']
    })
  )
}

const place = (description: string) =>
  Type.Optional(
    Type.String({
      maxLength: 40,
      pattern: explained(
        `^latest$|${cursorPattern}`,
        'must be a cursor of the feed, or latest',
        'cursor'
      ),
      description,
      examples: ['latest']
    })
  )

export const FeedQuery = Type.Object(
  {
    after: place(
      'Cursor after which to read; `latest` for the current end. Default: the beginning.'
    ),
    ...selection,
    wait: Type.Optional(
      Type.Integer({
        format: 'int32',
        minimum: 0,
        maximum: 30,
        default: 0,
        description: 'Seconds to wait for events if there are none.',
        examples: [1]
      })
    ),
    limit: Type.Optional(
      Type.Integer({
        format: 'int32',
        minimum: 1,
        maximum: 500,
        default: 100,
        description: 'Maximum number of events.'
      })
    )
  },
  { additionalProperties: false }
)

export const longestStream = 3600

export const StreamQuery = Type.Object(
  {
    after: place('Cursor after which to read. Default: the current end; see `Last-Event-ID`.'),
    ...selection,
    duration: Type.Optional(
      Type.Integer({
        format: 'int32',
        minimum: 0,
        maximum: longestStream,
        description:
          'Seconds after which the stream ends; it also ends when the token expires. Default: ' +
          `${longestStream}. Use 1 with tools that show a response only when it has ended.`,
        examples: [1]
      })
    )
  },
  { additionalProperties: false }
)

export const StreamHeaders = Type.Object({
  'last-event-id': place('The last ID that was received; takes precedence over `after`.')
})

export const EventStream = Type.String({
  $id: 'EventStream',
  description:
    'Server-sent events: each has a `FeedEvent` as its data and its cursor as its ID. `ready` ' +
    'and `cursor` events only have a cursor, an `error` event has a problem and ends the stream.',
  format: 'event-stream',
  maxLength: Number.MAX_SAFE_INTEGER,
  example: 'id: 16-5891b5b522d5\nevent: ready\ndata: {"cursor":"16-5891b5b522d5"}\n\n'
})

export const EventType = Type.Object(
  {
    type: Text(60, { description: 'Type of event.', example: 'contact.updated' }),
    subject: Text(40, { description: 'Type of the record.', example: 'contact' }),
    description: Text(500, { description: 'When it happens.', example: 'A contact was updated.' }),
    permission: Text(80, {
      description: 'Permission that reading such events requires.',
      example: 'contacts:read'
    }),
    record: Nullable(
      Text(80, {
        description: 'Schema of the record in the API document; null if it has none.',
        example: 'Contact'
      })
    )
  },
  { $id: 'EventType', additionalProperties: false, description: 'A type of event.' }
)

export const EventTypes = Type.Object(
  { data: Type.Array(Type.Ref('EventType'), { maxItems: 1000, description: 'Types of events.' }) },
  { $id: 'EventTypes', additionalProperties: false, description: 'All types of events.' }
)

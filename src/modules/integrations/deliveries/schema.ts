import { Type } from '@sinclair/typebox'
import { Count, Id, Instant, Nullable, OneOf, PageOf, Text } from '../../../core/http/schema.ts'
import { cursorParameter, limitParameter } from '../../../core/records/list-query.ts'
import { cursorText } from '../events/schema.ts'
import { deliveryStatuses } from './table.ts'

const status = {
  description:
    '`pending` until it has succeeded or failed for good; `cancelled` if it was not sent, since ' +
    'its webhook was deleted or no longer selects the event, or its author may not read it.',
  example: 'succeeded' as const
}

export const Delivery = Type.Object(
  {
    id: Id({ description: 'Delivery ID.', example: 1 }),
    webhook_id: Id({ description: 'Webhook ID.', example: 1 }),
    message_id: Text(40, {
      description: '`webhook-id` of the message: the same in all attempts, retries and replays.',
      example: 'evt_17'
    }),
    event_id: Nullable(Id({ description: 'Event ID; null for a test.', example: 17 })),
    type: Text(60, { description: 'Type of event.', example: 'contact.updated' }),
    subject_type: Text(40, { description: 'Type of the record.', example: 'contact' }),
    subject_id: Id({ description: 'Record ID.', example: 1 }),
    is_replay: Type.Boolean({
      description: 'Whether it is a replay, which has the header `webhook-replay: true`.',
      example: false
    }),
    status: OneOf(deliveryStatuses, status),
    attempts: Count({ description: 'Attempts so far.', example: 1 }),
    next_attempt_at: Nullable(
      Instant({
        description:
          'Time of the next attempt; null if it has ended, or waits for an earlier delivery ' +
          'about the same record.',
        example: null
      })
    ),
    last_attempt_at: Nullable(
      Instant({ description: 'Time of the last attempt.', example: '2026-11-22T09:00:01.000Z' })
    ),
    duration_ms: Nullable(
      Count({ description: 'Milliseconds that the last attempt took.', example: 120 })
    ),
    response_status: Nullable(
      Type.Integer({
        format: 'int32',
        minimum: 100,
        maximum: 999,
        description: 'Status code of the last response.',
        example: 200
      })
    ),
    error: Nullable(
      Text(500, {
        description: 'Why there was no response, or why it was not sent.',
        example: null
      })
    ),
    created_at: Instant({ description: 'Creation time.', example: '2026-11-22T09:00:00.000Z' }),
    ended_at: Nullable(
      Instant({
        description: 'Time at which it succeeded, failed for good or was canceled.',
        example: '2026-11-22T09:00:01.000Z'
      })
    )
  },
  { $id: 'Delivery', additionalProperties: false, description: 'A message to a webhook.' }
)

export const DeliveryPage = PageOf(Delivery)

export const DeliveryDetails = Type.Object(
  {
    ...Delivery.properties,
    payload: Nullable(
      Type.Object(
        {},
        {
          additionalProperties: true,
          description:
            'Body of the request; null unless the caller may read all records of the type, with ' +
            'all fields.',
          example: { type: 'contact.created', timestamp: '2026-11-22T09:00:00.000Z', data: {} }
        }
      )
    ),
    response_body: Nullable(
      Text(4096, {
        description: 'First 4 KiB of the last response; null under the same condition.',
        example: 'ok'
      })
    )
  },
  {
    $id: 'DeliveryDetails',
    additionalProperties: false,
    description: 'A message to a webhook, with its request and response.'
  }
)

export const DeliveryQuery = Type.Object(
  {
    status: Type.Optional(
      OneOf(deliveryStatuses, { description: status.description, examples: ['failed'] })
    ),
    limit: limitParameter,
    cursor: cursorParameter
  },
  { additionalProperties: false }
)

export const Replay = Type.Object(
  {
    after: Type.Optional(cursorText('Cursor after which events are sent again.', '0-')),
    until: Type.Optional(
      cursorText(
        'Last cursor that is sent again. Default: the current end of the feed.',
        '17-b5bb9d8014a0'
      )
    ),
    from: Type.Optional(
      Instant({ description: 'Time from which events are sent again, instead of `after`.' })
    ),
    to: Type.Optional(
      Instant({ description: 'Time before which events are sent again, instead of `until`.' })
    )
  },
  {
    $id: 'Replay',
    additionalProperties: false,
    minProperties: 1,
    description: 'Events that are sent again: between two cursors, or two times.',
    example: { from: '2026-11-22T09:00:00.000Z', to: '2026-11-22T10:00:00.000Z' }
  }
)

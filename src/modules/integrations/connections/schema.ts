import { Type } from '@sinclair/typebox'
import {
  Change,
  Count,
  Creation,
  explained,
  Id,
  Instant,
  Name,
  Nullable,
  OneOf,
  PageOf,
  RecordOf,
  Text
} from '../../../core/http/schema.ts'
import { cursorParameter, limitParameter, listOfNames } from '../../../core/records/list-query.ts'
import { cursorText } from '../events/schema.ts'
import { maxWebhooks } from './table.ts'

const fields = {
  name: Name(100, { description: 'Name, unique regardless of case.', example: 'ERP, Chicago' }),
  kind: Type.String({
    minLength: 1,
    maxLength: 40,
    pattern: explained(
      '^[a-z][a-z0-9_-]*$',
      'must begin with a lowercase letter and have only lowercase letters, digits, _ and -',
      'key'
    ),
    description: 'Kind of system, by a name of your choice.',
    example: 'erp'
  }),
  description: Nullable(Text(500, { description: 'What it does.', example: 'Nightly sync' })),
  api_token_id: Nullable(
    Id({
      description: 'API token that the other system uses, and no other integration.',
      example: null
    })
  ),
  webhook_ids: Type.Array(Id(), {
    default: [],
    maxItems: maxWebhooks,
    uniqueItems: true,
    description: 'Webhooks, by ID, that send to the other system.',
    example: []
  }),
  is_active: Type.Boolean({
    default: true,
    description:
      'Whether it is in use, so that its lag is watched. Its API token and webhooks do not ' +
      'depend on it.',
    example: true
  })
}

const progress = {
  cursor: Nullable(
    cursorText(
      'Cursor of the feed up to which it has acknowledged everything; null before the first time.',
      '17-b5bb9d8014a0'
    )
  ),
  acknowledged_at: Nullable(
    Instant({ description: 'Time at which it did.', example: '2026-11-22T09:00:00.000Z' })
  )
}

export const Integration = RecordOf('Integration', 'A connection to another system.', {
  ...fields,
  ...progress
})
export const NewIntegration = Creation('NewIntegration', fields, ['name', 'kind'], {
  name: 'ERP, Chicago',
  kind: 'erp'
})
export const IntegrationChanges = Change('IntegrationChanges', fields, {
  description: 'Orders and invoices'
})

export const Acknowledgement = Type.Object(
  { cursor: cursorText('Cursor of the feed up to which everything is done.', '0-') },
  {
    $id: 'Acknowledgement',
    additionalProperties: false,
    description: 'How far a reader of the feed is.',
    example: { cursor: '0-' }
  }
)

export const IntegrationLag = Type.Object(
  {
    ...progress,
    behind: Nullable(
      Count({
        description: 'Positions of the feed after the cursor; null without one.',
        example: 3
      })
    ),
    behind_since: Nullable(
      Instant({
        description: 'Time of the first event after the cursor; null if there is none.',
        example: '2026-11-22T09:00:01.000Z'
      })
    )
  },
  {
    $id: 'IntegrationLag',
    additionalProperties: false,
    description: 'How far an integration is, and how far behind the feed.'
  }
)

export const logKinds = ['write', 'access', 'delivery'] as const
export const logStatuses = ['ok', 'failed'] as const

export const LogEntry = Type.Object(
  {
    at: Instant({
      description: 'Time of the entry; of a delivery, at which it was added.',
      example: '2026-11-22T09:00:00.000Z'
    }),
    kind: OneOf(logKinds, {
      description:
        '`write`: a change of a record; `access`: an export, or a request that was refused; ' +
        '`delivery`: a message to a webhook that was tried.',
      example: 'write'
    }),
    type: Text(60, { description: 'Type of event.', example: 'contact.updated' }),
    status: OneOf(logStatuses, {
      description: 'Whether it succeeded. A delivery that waits to be tried again has failed.',
      example: 'ok'
    }),
    subject: Type.Object(
      {
        type: Text(40, { description: 'Type of record.', example: 'contact' }),
        id: Id({ description: 'Record ID.', example: 1 })
      },
      { additionalProperties: false, description: 'What it is about; of an access, the user.' }
    ),
    detail: Nullable(
      Text(1000, {
        description: 'What was exported or refused, or what came of a delivery.',
        example: null
      })
    ),
    event_id: Nullable(Id({ description: 'Event ID; null for a test of a webhook.', example: 17 })),
    delivery_id: Nullable(Id({ description: 'Delivery ID; null for what is none.', example: null }))
  },
  {
    $id: 'IntegrationLogEntry',
    additionalProperties: false,
    description: 'Something that an integration read, wrote or was sent.'
  }
)

export const LogPage = PageOf(LogEntry)

export const LogQuery = Type.Object(
  {
    kind: listOfNames(
      logKinds,
      logKinds.length,
      `Kinds of entries to return, separated by commas: ${logKinds.join(', ')}. Default: all.`
    ),
    status: Type.Optional(
      OneOf(logStatuses, { description: 'Entries with this status.', examples: ['failed'] })
    ),
    limit: limitParameter,
    cursor: cursorParameter
  },
  { additionalProperties: false }
)

import { Type } from '@sinclair/typebox'
import { accessTypes } from '../../../core/records/events.ts'
import { breaks, maxVerified } from '../../../core/records/event-chain.ts'
import {
  Count,
  explained,
  Id,
  Instant,
  Nullable,
  OneOf,
  PageOf,
  Text
} from '../../../core/http/schema.ts'

/** A change of a record, as its history shows it. */
export const Event = Type.Object(
  {
    id: Id({ description: 'Event ID.', example: 1 }),
    type: Text(60, {
      description: 'Type: `<record>.created`, `.updated`, `.deleted`, `.restored` or `.purged`.',
      example: 'contact.updated'
    }),
    subject_type: Text(40, {
      description: 'Type of the changed record.',
      example: 'contact'
    }),
    subject_id: Id({ description: 'ID of the changed record.', example: 1 }),
    actor_id: Nullable(
      Id({ description: 'User who made the change; null for the system.', example: 1 })
    ),
    changed: Type.Array(Text(63), {
      maxItems: 200,
      description: 'Names of the changed fields.',
      example: ['last_name']
    }),
    before: Nullable(
      Type.Object(
        {},
        {
          additionalProperties: true,
          description: 'Record before the change; null if it was created.',
          example: { id: 1, last_name: 'Doe', version: 1 }
        }
      )
    ),
    after: Nullable(
      Type.Object(
        {},
        {
          additionalProperties: true,
          description: 'Record after the change; null if it was purged.',
          example: { id: 1, last_name: 'Smith', version: 2 }
        }
      )
    ),
    created_at: Instant({
      description: 'Time of the change.',
      example: '2026-11-22T09:00:00.000Z'
    }),
    operation_id: Nullable(
      Id({
        description: 'Operation that it is a part of; null for a single change.',
        example: null
      })
    )
  },
  {
    $id: 'Event',
    additionalProperties: false,
    description: 'A change to a record.'
  }
)

export const EventPage = PageOf(Event)

const named = `\`${accessTypes.join('`, `')}\``

const values = (description: string, example: object | null) =>
  Nullable(Type.Object({}, { additionalProperties: true, description, example }))

export const AuditEntry = Type.Object(
  {
    ...Event.properties,
    type: Text(60, {
      pattern: explained('^[a-z_]+[.][a-z_]+$', 'must be a type, such as contact.updated', 'type'),
      description: `Type: as in the history of a record, or one of ${named}.`,
      example: 'contact.updated'
    }),
    subject_type: Text(40, {
      description: 'Type of the record that it is about; of an access, `user` or `organization`.',
      example: 'contact'
    }),
    subject_id: Id({ description: 'ID of the record that it is about.', example: 1 }),
    actor_id: Nullable(
      Id({ description: 'User who did it; null for the system or a stranger.', example: 1 })
    ),
    before: values('Record before the change, if the caller may read all records of the type.', {
      id: 1,
      last_name: 'Doe',
      version: 1
    }),
    after: values('Record after the change, under the same condition.', {
      id: 1,
      last_name: 'Smith',
      version: 2
    }),
    details: values(
      'What else is known of an access: the client (`User-Agent`), the `reason` of a failed ' +
        'login, the `permission` that was missing, the `session_ids` that ended, the `path`, ' +
        '`format` and `parameters` of an export. Null for a change of a record.',
      null
    ),
    address: Nullable(Text(45, { description: 'IP address of the client.', example: '192.0.2.7' })),
    request_id: Nullable(
      Text(64, {
        description: '`X-Request-Id` of the request; null for a change outside of the API.',
        example: 'k3v9x2a1-1f'
      })
    ),
    session_id: Nullable(Id({ description: 'Session that it was done in.', example: 2 })),
    api_token_id: Nullable(Id({ description: 'API token that it was done with.', example: null }))
  },
  {
    $id: 'AuditEntry',
    additionalProperties: false,
    description: 'A change of a record, or an access: who, with which credential, from where.'
  }
)

export const AuditEntryPage = PageOf(AuditEntry)

export const VerificationQuery = Type.Object(
  {
    after: Type.Optional(
      Id({ minimum: 0, default: 0, description: 'Position after which to start.', examples: [0] })
    ),
    limit: Type.Optional(
      Type.Integer({
        format: 'int32',
        minimum: 1,
        maximum: maxVerified,
        default: maxVerified,
        description: 'Entries to read at most.',
        examples: [1000]
      })
    )
  },
  { additionalProperties: false }
)

export const AuditVerification = Type.Object(
  {
    is_intact: Type.Boolean({ description: 'Whether every entry matched.', example: true }),
    verified: Count({ description: 'Entries read.', example: 1250 }),
    position: Nullable(
      Id({ description: 'Position of the last entry read; null if there was none.', example: 1250 })
    ),
    hash: Nullable(
      Text(64, {
        description:
          'Hash of that entry, in hexadecimal. A copy kept elsewhere proves later that ' +
          'nothing before it was changed.',
        example: 'b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c'
      })
    ),
    has_more: Type.Boolean({
      description: 'Whether there are entries after it: continue with `after`.',
      example: false
    }),
    pending: Count({
      description: 'Entries of the last seconds, not in the chain yet.',
      example: 0
    }),
    first_break: Nullable(
      Type.Object(
        {
          position: Id({ description: 'Position in the chain.', example: 17 }),
          event_id: Id({
            description: 'ID of the entry; after a missing one, of the next.',
            example: 17
          }),
          reason: OneOf(breaks, {
            description:
              '`event_changed`, `event_missing`: the entry differs from its digest, or is gone; ' +
              '`entry_missing`, `hash_changed`: the chain itself was changed.',
            example: 'event_changed'
          })
        },
        {
          additionalProperties: false,
          description: 'First entry that did not match; null if all did.',
          example: null
        }
      )
    )
  },
  {
    $id: 'AuditVerification',
    additionalProperties: false,
    description: 'What recomputing the hashes of the audit log found.'
  }
)

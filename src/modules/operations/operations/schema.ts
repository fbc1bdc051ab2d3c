import { Type } from '@sinclair/typebox'
import {
  Count,
  FieldNames,
  Id,
  Instant,
  Key,
  Nullable,
  OneOf,
  PageOf,
  Ref,
  Text
} from '../../../core/http/schema.ts'
import { operationKinds, undoDays } from '../../../core/records/operations.ts'
import { changeKinds } from '../../../core/records/events.ts'
import { leftReasons } from '../../../core/records/undo-plan.ts'

const counted = (what: string, example: number) =>
  Count({ description: `Records that it ${what}.`, example })

const properties = {
  id: Id({ description: 'Operation ID.', example: 1 }),
  kind: Key(40, { description: 'Kind.', example: 'conversion' }),
  created_by: Nullable(Id({ description: 'User; null for the system.', example: 1 })),
  session_id: Nullable(Id({ description: 'Session that it was done in.', example: 2 })),
  api_token_id: Nullable(Id({ description: 'API token that it was done with.', example: null })),
  request_id: Nullable(
    Text(64, { description: '`X-Request-Id` of the request.', example: 'k3v9x2a1-1f' })
  ),
  created_at: Instant({ description: 'Time.', example: '2026-11-22T09:00:00.000Z' }),
  undoable_until: Instant({
    description: `End of the ${undoDays} days in which it can be undone.`,
    example: '2026-12-22T09:00:00.000Z'
  }),
  undo_of: Nullable(Id({ description: 'Operation that it undid.', example: null })),
  undone_by: Nullable(Id({ description: 'Operation that undid it.', example: null })),
  counts: Type.Object(
    {
      created: counted('created', 1),
      updated: counted('updated', 2),
      deleted: counted('deleted', 0),
      restored: counted('restored', 0)
    },
    {
      additionalProperties: false,
      description:
        'Records, by what it did to them in the end. Of operations of other users, those of ' +
        'types of which the caller may read all.'
    }
  )
}

/** The schema of an operation, when all kinds are defined. */
export const operationSchema = () =>
  Type.Object(
    {
      ...properties,
      kind: Key(40, {
        description: `Kind: ${operationKinds()
          .map(kind => `\`${kind}\``)
          .join(', ')}.`,
        example: 'conversion'
      })
    },
    {
      $id: 'Operation',
      additionalProperties: false,
      description: 'What one user changed in one step, and can undo as one.'
    }
  )

export const OperationPage = PageOf({ ...Type.Object({}), $id: 'Operation' })

/** The record that a change is about. */
const subject = {
  type: Text(40, { description: 'Type of record.', example: 'contact' }),
  id: Id({ description: 'Record ID.', example: 1 })
}

/** A change that was not undone, as it is sent. */
export const LeftChange = Type.Object(
  {
    ...subject,
    field: Type.Optional(
      Text(63, { description: 'Field; absent for the record itself.', example: 'last_name' })
    ),
    // oxlint-disable-next-line unicorn/no-thenable -- a name of the contract, and no function
    then: Type.Optional(
      Type.Unknown({ description: 'Value that the operation left in the field.', example: 'Smith' })
    ),
    now: Type.Optional(Type.Unknown({ description: 'Value of the field now.', example: 'Miller' })),
    reason: OneOf(leftReasons, {
      description:
        '`changed` or `deleted` since; `in_use` by other records; an `unknown_reference`, to a ' +
        'record that is deleted or out of reach; a `conflict` with what there is now; ' +
        "`forbidden` by the user's roles; `unsupported` for settings.",
      example: 'changed'
    }),
    used_by: Type.Optional(
      Type.Array(Text(60), {
        maxItems: 100,
        description: 'For `in_use`: kinds of records.',
        example: ['activities']
      })
    )
  },
  { additionalProperties: false, description: 'A change that was not undone.' }
)

const op = (description: string) => OneOf(changeKinds, { description, example: 'updated' })
const values = (description: string, example: object) =>
  Type.Object({}, { additionalProperties: true, description, example })

export const OperationChange = Type.Object(
  {
    event_id: Id({ description: 'Event ID.', example: 1 }),
    ...subject,
    name: Nullable(Text(500, { description: 'Name of the record.', example: 'Jane Smith' })),
    op: op('What was done to the record.'),
    changed: FieldNames('Names of the changed fields.', ['last_name']),
    before: Nullable(
      values('Record before the change; null if it was created.', {
        id: 1,
        last_name: 'Doe',
        version: 1
      })
    ),
    after: values('Record after the change.', { id: 1, last_name: 'Smith', version: 2 })
  },
  { $id: 'OperationChange', additionalProperties: false, description: 'A change of an operation.' }
)

export const OperationChangePage = PageOf(OperationChange)

export const UndoQuery = Type.Object(
  {
    strict: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Whether to change nothing unless everything can be undone.'
      })
    )
  },
  { additionalProperties: false }
)

export const UndoneOperation = Type.Object(
  {
    operation: Ref({ ...Type.Object(properties), $id: 'Operation' }),
    undone: Type.Array(
      Type.Object(
        {
          ...subject,
          op: op('What the undo did to the record.'),
          fields: Type.Optional(
            FieldNames('Fields that have their earlier values again.', ['last_name'])
          )
        },
        { additionalProperties: false }
      ),
      { maxItems: 10_000, description: 'Changes that were undone, by record.' }
    ),
    left: Type.Array(LeftChange, {
      maxItems: 1_000_000,
      description: 'Changes that were not undone.'
    })
  },
  {
    $id: 'UndoneOperation',
    additionalProperties: false,
    description: 'The result of undoing an operation.'
  }
)

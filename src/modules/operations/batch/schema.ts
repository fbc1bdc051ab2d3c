import { Type, type Static } from '@sinclair/typebox'
import { Count, explained, Id, Nullable, OneOf, Ref, Text } from '../../../core/http/schema.ts'
import { onDeleted, onMatch } from '../../../core/records/upsert.ts'

/** Operations of one batch. */
export const maxOperations = 1_000

const refName = explained(
  '^[A-Za-z0-9_-]{1,64}$',
  'must be 1 to 64 letters, digits, hyphens and underscores',
  'ref'
)

const anything = { additionalProperties: true }

export const BatchOperation = Type.Object(
  {
    op: Text(40, {
      minLength: 1,
      description:
        'Operation: create, update, upsert, delete, restore, or an action of the type: complete ' +
        '(activities), qualify or convert (leads).',
      example: 'create'
    }),
    type: Text(40, { minLength: 1, description: 'Type of record.', example: 'contact' }),
    ref: Type.Optional(
      Type.String({
        maxLength: 64,
        pattern: refName,
        description: 'Name by which later operations refer to the record.',
        example: 'eva'
      })
    ),
    id: Type.Optional(
      Type.Unsafe<number | Record<string, string>>({
        anyOf: [
          Id(),
          Type.Object({}, { additionalProperties: Text(64), minProperties: 1, maxProperties: 1 })
        ],
        description:
          'Record ID, or `{"$ref": "eva"}` for the record of an earlier operation. Not for ' +
          'create and upsert.',
        example: 1
      })
    ),
    if_match: Type.Optional(
      Count({
        minimum: 1,
        description:
          'Version that the record must have; any other is a 412. Not for create and restore.',
        example: 1
      })
    ),
    match: Type.Optional(
      Type.Object(
        {},
        {
          ...anything,
          minProperties: 1,
          maxProperties: 1,
          description:
            'For upsert: what the record is matched by, the value of a field, ' +
            '`{"email": "eva@example.com"}`, or an external ID, ' +
            '`{"external": {"erp": "A-42"}}`.',
          example: { external: { erp: 'A-42' } }
        }
      )
    ),
    on_match: Type.Optional(
      OneOf(onMatch, {
        description: 'For upsert, as in the single request. Default: update.',
        example: 'update'
      })
    ),
    on_deleted: Type.Optional(
      OneOf(onDeleted, { description: 'For upsert, as in the single request.', example: 'restore' })
    ),
    data: Type.Optional(
      Type.Unsafe<Record<string, unknown> | null>({
        type: 'object',
        nullable: true,
        ...anything,
        description:
          'Body of the single request. `{"$ref": "eva"}` stands for the ID of the record of an ' +
          'earlier operation.',
        example: { first_name: 'Eva', last_name: 'Ek' }
      })
    )
  },
  { $id: 'BatchOperation', additionalProperties: false, description: 'One operation of a batch.' }
)
export type BatchOperation = Static<typeof BatchOperation>

export const modes = ['atomic', 'independent'] as const

export const NewBatch = Type.Object(
  {
    mode: OneOf(modes, {
      description:
        'atomic: all operations are done, or none; independent: each that is possible is done.',
      example: 'atomic'
    }),
    operations: Type.Array(Ref(BatchOperation), {
      minItems: 1,
      maxItems: maxOperations,
      description: 'Operations, in the order in which they are carried out.'
    })
  },
  {
    $id: 'NewBatch',
    additionalProperties: false,
    description: 'Operations to carry out together.',
    // no `$ref` here: tools take one in the document's examples for a reference of the document
    example: {
      mode: 'atomic',
      operations: [
        {
          op: 'upsert',
          type: 'account',
          match: { external: { erp: 'A-42' } },
          data: { name: 'Acme' }
        },
        { op: 'create', type: 'contact', data: { first_name: 'Eva', last_name: 'Ek' } }
      ]
    }
  }
)

export const outcomes = ['created', 'updated', 'unchanged', 'deleted', 'restored'] as const

export const BatchResult = Type.Object(
  {
    index: Count({
      maximum: maxOperations - 1,
      description: 'Place of the operation.',
      example: 0
    }),
    ref: Type.Optional(Text(64, { description: 'Its `ref`.', example: 'eva' })),
    status: Type.Integer({
      format: 'int32',
      minimum: 200,
      maximum: 599,
      description: 'HTTP status that the single request would have.',
      example: 201
    }),
    id: Type.Optional(Id({ description: 'Record ID.', example: 1 })),
    version: Type.Optional(
      Count({ minimum: 1, description: 'Record version; absent for a deleted record.', example: 1 })
    ),
    outcome: Type.Optional(OneOf(outcomes, { description: 'Outcome.', example: 'created' })),
    record: Type.Optional(
      Type.Object({}, { ...anything, description: 'Record, with `Prefer: return=representation`.' })
    ),
    problem: Type.Optional(Ref({ $id: 'Problem' }))
  },
  { $id: 'BatchResult', additionalProperties: false, description: 'The result of one operation.' }
)
export type BatchResult = Omit<Static<typeof BatchResult>, 'problem'> & { problem?: object }

export const BatchResults = Type.Object(
  {
    results: Type.Array(Ref(BatchResult), {
      maxItems: maxOperations,
      description: 'Results, in the order of the operations.'
    }),
    operation_id: Nullable(
      Id({
        description: 'Operation, which can be undone; null for a batch of one operation.',
        example: 1
      })
    )
  },
  { $id: 'BatchResults', additionalProperties: false, description: 'The results of a batch.' }
)

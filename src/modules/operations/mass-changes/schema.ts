import { Type, type Static, type TProperties } from '@sinclair/typebox'
import { Count, Id, Nullable, Ref, Text } from '../../../core/http/schema.ts'
import { pascalCase } from '../../../core/names.ts'
import type { Resource } from '../../../core/records/resource.ts'

/** Failures that are listed; all of them are counted. */
export const maxFailures = 100

const Failure = Type.Object(
  {
    id: Id({ description: 'Record ID.', example: 1 }),
    status: Type.Integer({
      format: 'int32',
      minimum: 400,
      maximum: 599,
      description: 'HTTP status that the single request would have.',
      example: 409
    }),
    code: Text(50, { description: 'Problem code.', example: 'conflict' }),
    detail: Text(2000, {
      description: 'Explanation.',
      example: 'The state of the record does not allow this.'
    })
  },
  { additionalProperties: false, description: 'A record that could not be changed.' }
)
export type Failure = Static<typeof Failure>

/** What a mass change has done so far; its job has the same as its result. */
const totals = {
  changed: Count({ description: 'Records that were changed so far.', example: 1 }),
  unchanged: Count({
    description: 'Records that needed no change.',
    example: 0
  }),
  failed: Count({ description: 'Records that could not be changed.', example: 0 }),
  failures: Type.Array(Failure, {
    maxItems: maxFailures,
    description: `The first ${maxFailures} records that could not be changed, and why.`
  })
}

export const MassChange = Type.Object(
  {
    matched: Count({ description: 'Records that match the filter.', example: 1 }),
    ...totals,
    operation_id: Nullable(
      Id({ description: 'Operation, which can be undone; null if no record matches.', example: 1 })
    ),
    job_id: Nullable(
      Id({
        description: 'Job that changes the other records; null if there are none.',
        example: null
      })
    )
  },
  { $id: 'MassChange', additionalProperties: false, description: 'The result of a mass change.' }
)
export type MassChange = Static<typeof MassChange>

const selection = {
  filter: Text(4000, {
    minLength: 1,
    description:
      'Filters, as in the query string of the list; a record must match all of them. Any ' +
      'record matches `id[gte]=1`.',
    example: 'id=1'
  }),
  expected_count: Type.Optional(
    Count({
      description: 'Expected number of matching records; any other number is a 409.',
      example: 1
    })
  )
}

const body = <P extends TProperties>(name: string, properties: P, example: object) =>
  Type.Object(
    { ...selection, ...properties },
    {
      $id: name,
      additionalProperties: false,
      description: 'A change of all records that match.',
      example: { filter: 'id=1', ...example }
    }
  )

/** What an update changes: the fields of any record of a resource. */
export const massUpdateOf = ({ name, update }: Resource) =>
  body(
    `${pascalCase(name)}MassUpdate`,
    { data: Ref(update!) },
    { data: (update as { example?: object }).example }
  )

export const MassDeletion = body('MassDeletion', {}, { filter: 'id=999999999' })

const tagIds = (description: string) =>
  Type.Optional(
    Type.Array(Id({ example: 1 }), { maxItems: 50, uniqueItems: true, description, example: [1] })
  )
export const MassTagging = body(
  'MassTagging',
  {
    add: tagIds('IDs of tags to add.'),
    remove: tagIds('IDs of tags to remove, also if they are in `add`.')
  },
  { add: [1] }
)

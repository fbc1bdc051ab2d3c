import { Type } from '@sinclair/typebox'
import { Id, OneOf, Text } from '../http/schema.ts'
import { leftReasons } from './undo-plan.ts'

/** The record that a change is about. */
export const subject = {
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

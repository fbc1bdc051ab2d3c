import { Type } from '@sinclair/typebox'
import { actions, reaches } from '../../../core/access/permissions.ts'
import { FieldNames, Id, Nullable, OneOf, Text } from '../../../core/http/schema.ts'

/** What decides: a role by itself, why a record is within its reach, or what a token lacks. */
const reasons = ['role', 'owner', 'team', 'share', 'scope'] as const

/** The query string; `types`: those of all records. */
export const accessQuery = (types: readonly string[]) =>
  Type.Object(
    {
      type: OneOf(types, {
        description: 'Type of records, as in links and events.',
        examples: ['contact']
      }),
      action: OneOf(actions, { description: 'What is to be done.', examples: ['read'] }),
      id: Type.Optional(
        Id({ description: 'Record. Without it: whether it is allowed at all.', examples: [1] })
      ),
      user_id: Type.Optional(
        Id({
          description: 'User ID; by default, the caller. Others require `users:read`.',
          examples: [1]
        })
      )
    },
    { additionalProperties: false }
  )

export const AccessExplanation = Type.Object(
  {
    allowed: Type.Boolean({ description: 'Whether the user may do it.', example: true }),
    reach: Nullable(
      OneOf(reaches, {
        description: 'Whose records the user may do it to; null: none, whatever is shared.',
        example: 'all'
      })
    ),
    decided_by: Nullable(
      Type.Object(
        {
          kind: OneOf(reasons, {
            description:
              '`role`: the role that reaches farthest, or the first one if none allows it; ' +
              '`owner`: the user created the record, or it is assigned to them; `team`: that is ' +
              'so for a member of one of their teams; `share`: the record was shared; `scope`: ' +
              'the API token lacks the scope or the risk.',
            example: 'role'
          }),
          id: Id({ description: 'ID of the role, user, team, share or token.', example: 1 }),
          name: Text(100, { description: 'Name; of a share, its access.', example: 'admin' })
        },
        {
          additionalProperties: false,
          description: 'What decides it; null for a user without a role.'
        }
      )
    ),
    hidden_fields: FieldNames('Fields of these records that the user does not see.', ['phone']),
    read_only_fields: FieldNames('Fields that the user sees and cannot change.', ['company'])
  },
  {
    $id: 'AccessExplanation',
    additionalProperties: false,
    description: 'Whether a user may do something, and why.'
  }
)

import { Type } from '@sinclair/typebox'
import { Creation, Email, Id, Instant, Nullable, RecordOf } from '../../../core/http/schema.ts'
import { exampleToken, newPassword, oneTimeToken } from '../auth/schema.ts'
import { fields as userFields } from '../users/schema.ts'

const fields = {
  email: Email({
    description: 'Email address of the person. There is one open invitation for an address.',
    example: 'paolo@example.com'
  }),
  role: {
    ...userFields.role,
    description: 'First role that the user will have, by name. Without `role_ids`, the only one.'
  },
  role_ids: {
    ...userFields.role_ids,
    description: 'Roles that the user will have, by ID. The first one is `role`.'
  },
  team_ids: Type.Array(Id(), {
    maxItems: 20,
    uniqueItems: true,
    description: 'Teams that the user will be a member of.',
    example: []
  })
}

export const Invitation = RecordOf('Invitation', 'An invitation to become a user.', {
  ...fields,
  expires_at: Instant({
    description: 'Time until which it can be accepted: seven days after its creation.',
    example: '2026-12-04T09:00:00.000Z'
  }),
  sent_at: Nullable(
    Instant({
      description: 'Time at which it was mailed; null if it was not, or not yet.',
      example: '2026-11-27T09:00:00.000Z'
    })
  ),
  user_id: Nullable(Id({ description: 'User who accepted it; null if nobody did.', example: null }))
})

export const NewInvitation = Creation('NewInvitation', fields, ['email'], {
  email: 'paolo@example.com',
  role: 'user'
})

export const IssuedInvitation = Type.Object(
  {
    ...Invitation.properties,
    token: Type.Optional(
      oneTimeToken('Token to accept it, shown only now; not there if it is mailed instead.')
    )
  },
  { $id: 'IssuedInvitation', additionalProperties: false, description: 'A new invitation.' }
)

const { default: _, ...username } = userFields.username

export const Acceptance = Type.Object(
  {
    token: oneTimeToken('Token of the invitation.'),
    username: Type.Optional({
      ...username,
      description: 'Login name, by default the email address. Unique in the organization.'
    }),
    password: newPassword({
      description:
        'Password: at least 8 characters, not a common one, and not the username or email address.'
    }),
    first_name: Type.Optional(userFields.first_name),
    last_name: Type.Optional(userFields.last_name)
  },
  {
    $id: 'Acceptance',
    additionalProperties: false,
    description: 'How a person who was invited becomes a user.',
    example: {
      token: exampleToken,
      password: 'a quiet harbor 47',
      first_name: 'Paolo',
      last_name: 'Verdi'
    }
  }
)

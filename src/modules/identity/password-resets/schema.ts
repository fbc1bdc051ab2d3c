import { Type } from '@sinclair/typebox'
import { Email } from '../../../core/http/schema.ts'
import { newPassword, oneTimeToken } from '../auth/schema.ts'
import { slug } from '../organizations/schema.ts'

export const PasswordResetRequest = Type.Object(
  {
    email: Email({ description: 'Email address of the user.', example: 'admin@example.com' }),
    organization: Type.Optional(
      slug({ description: 'Organization, by its `slug`; by default, all that have such a user.' })
    )
  },
  {
    $id: 'PasswordResetRequest',
    additionalProperties: false,
    description: 'A request to reset a forgotten password.',
    example: { email: 'admin@example.com' }
  }
)

export const PasswordReset = Type.Object(
  { token: oneTimeToken('Token of the mail.'), password: newPassword() },
  {
    $id: 'PasswordReset',
    additionalProperties: false,
    description: 'A new password in place of a forgotten one.'
  }
)

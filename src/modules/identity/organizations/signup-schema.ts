import { Type } from '@sinclair/typebox'
import { Ref } from '../../../core/http/schema.ts'
import { newPassword, Session } from '../auth/schema.ts'
import { fields as userFields } from '../users/schema.ts'
import { Organization, settings } from './schema.ts'

const { name, ...others } = settings
export const NewOrganization = Type.Object(
  {
    name,
    ...Type.Partial(Type.Object(others)).properties,
    admin: Type.Object(
      {
        email: userFields.email,
        password: newPassword(),
        username: Type.Optional(userFields.username),
        first_name: Type.Optional(userFields.first_name),
        last_name: Type.Optional(userFields.last_name)
      },
      {
        additionalProperties: false,
        description: 'Its first admin, whose username is the email address by default.'
      }
    )
  },
  {
    $id: 'NewOrganization',
    additionalProperties: false,
    description: 'An organization to be created. Absent settings get their defaults.',
    example: {
      name: 'Nova',
      time_zone: 'Europe/Berlin',
      admin: { email: 'nina@nova.example', password: 'a quiet harbor 47' }
    }
  }
)

export const Signup = Type.Object(
  { organization: Ref(Organization), session: Ref(Session) },
  {
    $id: 'Signup',
    additionalProperties: false,
    description: 'A new organization, and the session of its admin.'
  }
)

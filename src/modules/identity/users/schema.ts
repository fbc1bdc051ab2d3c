import { Type } from '@sinclair/typebox'
import { cursorParameter, limitParameter } from '../../../core/records/list-query.ts'
import {
  Change,
  Creation,
  Email,
  Id,
  Name,
  OneOf,
  PageOf,
  RecordOf,
  Text
} from '../../../core/http/schema.ts'
import { roles, statuses } from './table.ts'

const fields = {
  username: Name(80, {
    description: 'The login name; if it has an @, it must be the e-mail.',
    example: 'maria'
  }),
  email: Email({ description: 'The e-mail, which also logs in.', example: 'maria@example.com' }),
  role: OneOf(roles, {
    default: 'user',
    description:
      'admin: everything; user: reads all but users, and writes all but users and settings; viewer: reads all but users.',
    example: 'user'
  }),
  status: OneOf(statuses, {
    default: 'active',
    description:
      'A disabled user is logged out at once, and cannot log in before being active again.',
    example: 'active'
  })
}
const password = Type.String({
  minLength: 8,
  maxLength: 128,
  pattern: '^[^\\u0000\\uD800-\\uDFFF]*$',
  description:
    'At least 8 characters, and not one of the well-known ones. A change ends all sessions of the user.',
  example: 'a quiet harbour 47'
})

// user 1 is the first admin, who can be neither demoted nor deleted while there is no other
export const User = RecordOf('User', 'Somebody who logs in.', fields, 2)
export const NewUser = Creation(
  'NewUser',
  { ...fields, password },
  ['username', 'email', 'password'],
  { username: 'maria', email: 'maria@example.com', password: 'a quiet harbour 47', role: 'user' }
)
export const UserChanges = Change('UserChanges', { ...fields, password }, { role: 'viewer' })

/** What everybody in the organisation may know of a user. */
export const UserSummary = Type.Object(
  { id: Id({ example: 1 }), username: fields.username },
  { $id: 'UserSummary', additionalProperties: false, description: 'A user as colleagues see them.' }
)

export const UserSummaryPage = PageOf(UserSummary)

export const DirectoryQuery = Type.Object(
  {
    limit: limitParameter,
    cursor: cursorParameter,
    q: Type.Optional(
      Text(100, {
        minLength: 1,
        description:
          'Words that must all occur in the user name, in any case, with or without accents.'
      })
    )
  },
  { additionalProperties: false }
)

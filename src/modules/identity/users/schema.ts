import { Type } from '@sinclair/typebox'
import {
  Change,
  Creation,
  Email,
  Id,
  Instant,
  Name,
  Nullable,
  OneOf,
  PageOf,
  RecordOf,
  Text
} from '../../../core/http/schema.ts'
import { maxTimeZone } from '../../../core/db/columns.ts'
import { cursorParameter, limitParameter } from '../../../core/records/list-query.ts'
import { maxRoleName } from '../roles/table.ts'
import { kinds, statuses } from './table.ts'

export const fields = {
  username: Name(80, {
    description:
      'Login name, unique in the organization regardless of case. If it contains an `@`, it must ' +
      'equal the email address. Surrounding space and invisible characters are removed.',
    example: 'maria'
  }),
  email: Email({
    description: 'Email address, unique in the organization; it can also be used to log in.',
    example: 'maria@example.com'
  }),
  first_name: Nullable(Text(50, { description: 'First name.', example: 'Maria' })),
  last_name: Nullable(Text(50, { description: 'Last name.', example: 'Rossi' })),
  phone: Nullable(Text(20, { description: 'Phone number.', example: '+390212345678' })),
  time_zone: Nullable(
    Text(maxTimeZone, {
      minLength: 1,
      description:
        'Time zone in which clients show times to the user, by its name in the IANA database; ' +
        'null for that of the organization. Filters and reports go by the organization.',
      example: 'Europe/Rome'
    })
  ),
  role: Name(maxRoleName, {
    default: 'user',
    description:
      'First role, by name. Setting it without `role_ids` replaces all roles of the user. ' +
      'Built in are admin: everything; manager: records of their teams; user: all records; ' +
      'viewer: reading all records; partner: own records. All but admin only read settings.',
    example: 'user'
  }),
  role_ids: Type.Array(Id(), {
    minItems: 1,
    maxItems: 20,
    uniqueItems: true,
    description: 'Roles, by ID; what any of them allows is allowed. The first one is `role`.',
    example: [3]
  }),
  status: OneOf(statuses, {
    default: 'active',
    description: 'Status. A disabled user is logged out immediately and cannot log in.',
    example: 'active'
  })
}
const kind = OneOf(kinds, {
  default: 'person',
  description: 'Kind. A service account has no password: it only acts by API tokens.',
  example: 'person'
})
const password = Text(128, {
  minLength: 8,
  description:
    'Password: at least 8 characters, not a common one, and not the username or email address. ' +
    'Changing it ends all sessions of the user.',
  example: 'a quiet harbor 47'
})

// user 1 is the first admin, who cannot be demoted or deleted while there is no other
export const User = RecordOf(
  'User',
  'A person who can log in, or a service account.',
  {
    ...fields,
    kind,
    second_factor_since: Nullable(
      Instant({
        description: 'Time since which logins require a second factor; null if they do not.',
        example: null
      })
    )
  },
  2
)
export const NewUser = Creation(
  'NewUser',
  {
    ...fields,
    kind,
    password: { ...password, description: `${password.description} Required for a person.` }
  },
  ['username', 'email'],
  { username: 'maria', email: 'maria@example.com', password: 'a quiet harbor 47', role: 'user' }
)
export const UserChanges = Change('UserChanges', { ...fields, password }, { role: 'viewer' })

/** What everyone in the organization may know of a user. */
export const UserSummary = Type.Object(
  {
    id: Id({ description: 'User ID.', example: 1 }),
    username: fields.username,
    first_name: fields.first_name,
    last_name: fields.last_name
  },
  { $id: 'UserSummary', additionalProperties: false, description: 'A user as seen by colleagues.' }
)

export const UserSummaryPage = PageOf(UserSummary)

export const DirectoryQuery = Type.Object(
  {
    limit: limitParameter,
    cursor: cursorParameter,
    q: Type.Optional(
      Text(100, {
        minLength: 1,
        description: 'Words that must all occur in the username, ignoring case and accents.',
        examples: ['maria']
      })
    )
  },
  { additionalProperties: false }
)

import { Type } from '@sinclair/typebox'
import { maxAddress } from '../../../core/access/networks.ts'
import { Count, Id, Instant, Nullable, OneOf, Ref, Text } from '../../../core/http/schema.ts'
import { OrganizationSummary, slug } from '../organizations/schema.ts'
import { fields as userFields } from '../users/schema.ts'
import { maxRoleName } from '../roles/table.ts'

const secretText = (options: object) => Text(128, { minLength: 1, ...options })
const refreshToken = Type.String({
  minLength: 43,
  maxLength: 43,
  pattern: '^[A-Za-z0-9_-]{43}$',
  description:
    'Refresh token. It can be used once, within the idle limit of the organization (30 days by ' +
    'default), and using it returns a new one. It can be reused for ten seconds, in case the ' +
    'response was lost. The example only shows its format.',
  example: 'take-the-one-your-last-login-or-refresh-gav'
})
export const exampleToken = 'take-the-one-of-the-mail-or-the-invitation-'
/** A token that was mailed or shown once; the example only shows its format. */
export const oneTimeToken = (description: string) =>
  Type.String({
    minLength: 43,
    maxLength: 43,
    pattern: '^[A-Za-z0-9_-]{43}$',
    description: `${description} The example only shows its format.`,
    example: exampleToken
  })
export const newPassword = (options: object = {}) =>
  secretText({
    minLength: 8,
    description:
      'New password: at least 8 characters, not a common one, and not the username or email ' +
      'address.',
    example: 'a quiet harbor 47',
    ...options
  })
/** A code of an app, or a recovery code. */
const code = Type.Optional(
  Text(40, {
    minLength: 1,
    description:
      'Code of the second factor: six digits from the app, or a recovery code. Each works once.',
    example: '123456'
  })
)
const username = Text(120, {
  minLength: 1,
  description: 'Username or email address.',
  example: 'admin@example.com'
})
export const organization = Type.Optional(
  slug({
    description:
      'Organization to log in to, by its `slug`. Required where the username or email address ' +
      'and the password are those of users in several organizations.'
  })
)
const token = Text(2000, {
  description: 'Access token, sent as `Authorization: Bearer <token>`.',
  example: 'eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl'
})
const expiresIn = Count({ description: 'Seconds until the access token expires.', example: 900 })

export const Credentials = Type.Object(
  {
    username,
    password: secretText({ description: 'Password.', example: 'correct horse battery' }),
    code,
    organization
  },
  {
    $id: 'Credentials',
    additionalProperties: false,
    description: 'Credentials of a user.',
    example: { username: 'admin@example.com', password: 'correct horse battery' }
  }
)

const user = {
  id: Id({ description: 'User ID.', example: 1 }),
  username: Text(80, { description: 'Login name.', example: 'admin@example.com' }),
  role: Text(maxRoleName, { description: 'First role, by name.', example: 'admin' })
}

export const SessionUser = Type.Object(user, {
  $id: 'SessionUser',
  additionalProperties: false,
  description: 'The user of a session.'
})

export const Me = Type.Object(
  {
    ...user,
    email: userFields.email,
    first_name: userFields.first_name,
    last_name: userFields.last_name,
    time_zone: userFields.time_zone,
    organization: OrganizationSummary,
    roles: Type.Array(
      Type.Object(
        {
          id: Id({ description: 'Role ID.', example: 1 }),
          name: Text(maxRoleName, { description: 'Name.', example: 'admin' })
        },
        { additionalProperties: false }
      ),
      { maxItems: 20, description: 'Roles of the user, the first one first.' }
    ),
    permissions: Type.Array(Text(80), {
      maxItems: 500,
      description: 'Permissions of the user, in alphabetical order.',
      example: ['contacts:create', 'contacts:read']
    })
  },
  { $id: 'Me', additionalProperties: false, description: 'The logged-in user.' }
)

export const Session = Type.Object(
  { token, refresh_token: refreshToken, expires_in: expiresIn, user: Ref(SessionUser) },
  {
    $id: 'Session',
    additionalProperties: false,
    description: 'A session, as returned by a login, a refresh or a password change.'
  }
)

export const OpenSession = Type.Object(
  {
    id: Id({ description: 'Session ID.', example: 1 }),
    created_at: Instant({ description: 'Time of the login.', example: '2026-11-27T09:00:00.000Z' }),
    last_used_at: Instant({
      description: 'Time of the login or the last refresh.',
      example: '2026-11-27T09:15:00.000Z'
    }),
    expires_at: Instant({
      description: 'Time at which the session ends unless it is refreshed.',
      example: '2026-12-27T09:15:00.000Z'
    }),
    address: Nullable(
      Text(maxAddress, { description: 'IP address of the last use.', example: '203.0.113.7' })
    ),
    client: Nullable(
      Text(200, { description: '`User-Agent` of the last use.', example: 'Mozilla/5.0' })
    ),
    is_current: Type.Boolean({
      description: 'Whether it is the session of this request.',
      example: true
    })
  },
  { $id: 'OpenSession', additionalProperties: false, description: 'A login that has not ended.' }
)

export const SessionList = Type.Object(
  { data: Type.Array(Ref(OpenSession), { maxItems: 100, description: 'Open sessions.' }) },
  { $id: 'SessionList', additionalProperties: false, description: 'The open sessions of a user.' }
)

export const RefreshRequest = Type.Object(
  { refresh_token: refreshToken },
  {
    $id: 'RefreshRequest',
    additionalProperties: false,
    description: 'A request for new tokens.'
  }
)

export const StepUp = Type.Object(
  {
    password: secretText({ description: 'Password.', example: 'correct horse battery' }),
    code
  },
  {
    $id: 'StepUp',
    additionalProperties: false,
    description: 'Proof of who the user of a session is.',
    example: { password: 'correct horse battery' }
  }
)

export const SteppedUp = Type.Object(
  {
    valid_until: Instant({
      description: 'Time until which the session may do what requires a step-up.',
      example: '2026-11-27T09:10:00.000Z'
    })
  },
  { $id: 'SteppedUp', additionalProperties: false, description: 'The validity of a step-up.' }
)

export const PasswordChange = Type.Object(
  {
    current_password: secretText({
      description: 'Current password.',
      example: 'correct horse battery'
    }),
    new_password: newPassword()
  },
  {
    $id: 'PasswordChange',
    additionalProperties: false,
    description: 'A password change.',
    example: { current_password: 'correct horse battery', new_password: 'a quiet harbor 47' }
  }
)

/** RFC 6749 §4.3 and §6; other parameters (client_id, scope) are ignored, as the RFC requires. */
export const TokenRequest = Type.Object(
  {
    grant_type: OneOf(['password', 'refresh_token'], {
      description: 'Grant type.',
      example: 'password'
    }),
    username: Type.Optional(username),
    password: Type.Optional(
      secretText({
        description: 'Password, for the grant type `password`.',
        example: 'correct horse battery'
      })
    ),
    refresh_token: Type.Optional(refreshToken),
    code,
    organization
  },
  {
    $id: 'TokenRequest',
    additionalProperties: true,
    description: 'An OAuth 2 token request.',
    example: {
      grant_type: 'password',
      username: 'admin@example.com',
      password: 'correct horse battery'
    }
  }
)

export const Token = Type.Object(
  {
    access_token: token,
    token_type: OneOf(['bearer'], { description: 'Token type.', example: 'bearer' }),
    expires_in: expiresIn,
    refresh_token: refreshToken
  },
  { $id: 'Token', additionalProperties: false, description: 'An OAuth 2 token.' }
)

import { Type } from '@sinclair/typebox'
import { Count, Id, OneOf, Text } from '../../../core/http/schema.ts'
import { roles } from '../users/table.ts'

const secretText = (options: object) =>
  Type.String({ minLength: 1, maxLength: 128, pattern: '^[^\\u0000\\uD800-\\uDFFF]*$', ...options })
const refreshToken = Type.String({
  minLength: 43,
  maxLength: 43,
  pattern: '^[A-Za-z0-9_-]{43}$',
  description:
    'Good once, for 30 days, and ten seconds longer for whoever lost the answer; using it gives the next one. Take it from the answer of the last login or refresh: the example is only of its form.',
  example: 'take-the-one-your-last-login-or-refresh-gav'
})
const username = Text(120, {
  minLength: 1,
  description: 'The user name or the e-mail.',
  example: 'admin@example.com'
})
const token = Text(2000, {
  description: 'The access token: send it as `Authorization: Bearer <token>`.',
  example: 'eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl'
})
const expiresIn = Count({ description: 'Seconds until the access token expires.', example: 900 })

export const Credentials = Type.Object(
  {
    username,
    password: secretText({ description: 'The password.', example: 'correct horse battery' })
  },
  {
    $id: 'Credentials',
    additionalProperties: false,
    description: 'Who logs in.',
    example: { username: 'admin@example.com', password: 'correct horse battery' }
  }
)

export const Me = Type.Object(
  {
    id: Id({ description: 'The number of the user.', example: 1 }),
    username: Text(80, { description: 'The login name.', example: 'admin@example.com' }),
    role: OneOf(roles, { description: 'What the user may do.', example: 'admin' })
  },
  { $id: 'Me', additionalProperties: false, description: 'The user who is logged in.' }
)

export const Session = Type.Object(
  { token, refresh_token: refreshToken, expires_in: expiresIn, user: Type.Unsafe({ $ref: 'Me#' }) },
  {
    $id: 'Session',
    additionalProperties: false,
    description: 'What a login gives, a refresh and a new password.'
  }
)

export const RefreshRequest = Type.Object(
  { refresh_token: refreshToken },
  {
    $id: 'RefreshRequest',
    additionalProperties: false,
    description: 'The refresh token of the last login or refresh.'
  }
)

export const PasswordChange = Type.Object(
  {
    current_password: secretText({
      description: 'The password until now.',
      example: 'correct horse battery'
    }),
    new_password: secretText({
      minLength: 8,
      description: 'At least 8 characters, and not one of the well-known ones.',
      example: 'a quiet harbour 47'
    })
  },
  {
    $id: 'PasswordChange',
    additionalProperties: false,
    description: 'The old and the new password.',
    example: { current_password: 'correct horse battery', new_password: 'a quiet harbour 47' }
  }
)

/** RFC 6749 §4.3 and §6; what clients send beyond it (client_id, scope) is ignored, as the RFC says. */
export const TokenRequest = Type.Object(
  {
    grant_type: OneOf(['password', 'refresh_token'], {
      description: 'How to log in.',
      example: 'password'
    }),
    username: Type.Optional(username),
    password: Type.Optional(
      secretText({
        description: 'The password; with grant_type password.',
        example: 'correct horse battery'
      })
    ),
    refresh_token: Type.Optional(refreshToken)
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
    token_type: OneOf(['bearer'], { description: 'How to send it.', example: 'bearer' }),
    expires_in: expiresIn,
    refresh_token: refreshToken
  },
  { $id: 'Token', additionalProperties: false, description: 'An OAuth 2 token.' }
)

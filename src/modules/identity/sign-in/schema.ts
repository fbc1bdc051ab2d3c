import { Type } from '@sinclair/typebox'
import { explained, Id, Instant, Ref, Text } from '../../../core/http/schema.ts'
import { oneTimeToken } from '../auth/schema.ts'
import { slug } from '../organizations/schema.ts'

const provider = {
  id: Id({ description: 'Provider ID.', example: 1 }),
  name: Text(100, { description: 'Name of the provider.', example: 'Okta' })
}
export const SignInProviders = Type.Object(
  {
    data: Type.Array(Type.Object(provider, { additionalProperties: false }), {
      maxItems: 50,
      description: 'Active providers, the oldest first.'
    })
  },
  {
    $id: 'SignInProviders',
    additionalProperties: false,
    description: 'Where the users of an organization can sign in.'
  }
)

export const OrganizationPath = Type.Object(
  { organization: slug({ description: 'Organization, by its `slug`.' }) },
  { additionalProperties: false }
)

export const StartQuery = Type.Object(
  {
    return_to: Text(2000, {
      minLength: 1,
      description:
        'Page of the front end to return to, at one of `CORS_ORIGINS` or at `PUBLIC_URL`. It ' +
        'gets `sign_in_code`, or `error` if the sign-in has failed.',
      examples: ['http://127.0.0.1:3000/docs']
    }),
    code_challenge: Type.String({
      minLength: 43,
      maxLength: 43,
      pattern: explained(
        '^[A-Za-z0-9_-]{43}$',
        'must be the SHA-256 of the code verifier in base64url without padding',
        'code_challenge'
      ),
      description:
        'SHA-256 of the `code_verifier`, in base64url: `S256` of RFC 7636, between the front end ' +
        'and this API.',
      examples: ['E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM']
    }),
    provider_id: Type.Optional(
      Id({ description: 'Provider; by default, the first one.', examples: [1] })
    )
  },
  { additionalProperties: false }
)

/** A provider adds parameters of its own, such as `iss` or `session_state`. */
export const CallbackQuery = Type.Object(
  { state: Text(200, { minLength: 1, description: 'State.', examples: ['x'] }) },
  { additionalProperties: true }
)
export const CallbackPath = Type.Object(
  { ...OrganizationPath.properties, provider_id: provider.id },
  { additionalProperties: false }
)

export const CodeExchange = Type.Object(
  {
    sign_in_code: oneTimeToken('One-time code from the URL; valid for 60 seconds.'),
    code_verifier: Type.String({
      minLength: 43,
      maxLength: 128,
      pattern: explained(
        '^[A-Za-z0-9._~-]*$',
        'must contain only letters, digits and -._~',
        'code_verifier'
      ),
      description: 'The secret whose `code_challenge` the sign-in was started with.',
      example: 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
    })
  },
  {
    $id: 'CodeExchange',
    additionalProperties: false,
    description: 'A one-time code to be exchanged for a session.'
  }
)

export const ExternalIdentity = Type.Object(
  {
    id: Id({ description: 'Identity ID.', example: 1 }),
    provider_id: Id({ description: 'Provider ID.', example: 1 }),
    provider: provider.name,
    email: Text(120, {
      description: 'Email address that the provider named last.',
      example: 'maria@example.com'
    }),
    created_at: Instant({ description: 'Time of linking.', example: '2026-11-27T09:00:00.000Z' }),
    last_used_at: Instant({
      description: 'Time of the last sign-in.',
      example: '2026-11-27T09:00:00.000Z'
    })
  },
  {
    $id: 'ExternalIdentity',
    additionalProperties: false,
    description: 'An account at an identity provider, by which a user signs in.'
  }
)

export const ExternalIdentityList = Type.Object(
  {
    data: Type.Array(Ref(ExternalIdentity), { maxItems: 100, description: 'Linked identities.' })
  },
  {
    $id: 'ExternalIdentityList',
    additionalProperties: false,
    description: 'The identities that a user signs in with.'
  }
)

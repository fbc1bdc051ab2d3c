import { Type } from '@sinclair/typebox'
import {
  Change,
  Creation,
  explained,
  Id,
  Name,
  Nullable,
  RecordOf,
  Text
} from '../../../core/http/schema.ts'

/** A flag with a default. */
const Flag = (value: boolean, description: string) =>
  Type.Boolean({ default: value, description, example: value })

const fields = {
  name: Name(100, {
    description: 'Name on the button of the login page, unique regardless of case.',
    example: 'Okta'
  }),
  issuer: Type.String({
    minLength: 8,
    maxLength: 500,
    pattern: explained(
      '^https?://[^ ?#@]+$',
      'must be an https URL without a query, a fragment and credentials',
      'issuer'
    ),
    description:
      'Issuer, exactly as the provider names itself. It must serve ' +
      '`/.well-known/openid-configuration`. Changing it unlinks all users.',
    example: 'https://login.example.com'
  }),
  client_id: Name(200, { description: 'Client ID, from the provider.', example: 'smartx-crm' }),
  scopes: Type.Array(
    Type.String({
      minLength: 1,
      maxLength: 100,
      pattern: explained('^[!#-~]+$', 'must be printable ASCII without spaces', 'scope_name')
    }),
    {
      maxItems: 20,
      uniqueItems: true,
      description: 'Scopes to request besides `openid`, `email` and `profile`.',
      example: ['groups']
    }
  ),
  allowed_domains: Type.Array(
    Type.String({
      minLength: 3,
      maxLength: 253,
      pattern: explained(
        '^[a-z0-9-]+([.][a-z0-9-]+)+$',
        'must be a domain in lowercase ASCII (xn--… for an internationalized one)',
        'domain'
      )
    }),
    {
      minItems: 1,
      maxItems: 50,
      uniqueItems: true,
      description:
        'Domains of the email addresses that may sign in; those of subdomains may not. Whoever ' +
        'has a verified address in one of them can sign in as the user of that address.',
      example: ['example.com']
    }
  ),
  trusts_email: Flag(
    false,
    'Whether addresses count as verified if the provider does not say (`email_verified`), as ' +
      'Microsoft Entra ID does not. Only for a provider where your organization alone decides ' +
      'who has which address. One that it says is not verified never counts.'
  ),
  role_claim: Nullable(
    Text(200, {
      minLength: 1,
      description:
        'Claim with the groups or roles of a user, a text or a list of texts; with dots, one in ' +
        'an object (`realm_access.roles`). If set, roles are set at each sign-in.',
      example: 'groups'
    })
  ),
  role_mapping: Type.Array(
    Type.Object(
      {
        value: Text(200, {
          minLength: 1,
          description: 'Value of the claim.',
          example: 'crm-admins'
        }),
        role_id: Id({ description: 'Role of users with this value.', example: 1 })
      },
      { additionalProperties: false }
    ),
    {
      maxItems: 100,
      description:
        'Roles by values of the claim. A user gets the roles of all values, at most 20, in this ' +
        'order. The last active admin stays one.',
      example: [{ value: 'crm-admins', role_id: 1 }]
    }
  ),
  default_role_id: Nullable(
    Id({
      description:
        'Role of new users, and of those none of whose values has a role. Null: those without a ' +
        'role are refused, so that only people who are users or invited sign in.',
      example: 3
    })
  ),
  enforce: Flag(
    false,
    'Whether users with an address in the domains can log in only with this provider, and no ' +
      'longer with a password. Users of the built-in role admin still can, in case the ' +
      'provider fails.'
  ),
  is_active: Flag(true, 'Whether users can sign in with it.')
}

const clientSecret = Name(1000, {
  description:
    'Client secret, from the provider. It is stored encrypted, and no response has it. Required ' +
    'to change `issuer` or `client_id`.',
  example: 'a secret of the provider'
})

export const IdentityProvider = RecordOf(
  'IdentityProvider',
  'An OpenID Connect provider by which the users of the organization sign in.',
  fields
)
export const NewIdentityProvider = Creation(
  'NewIdentityProvider',
  { ...fields, client_secret: clientSecret },
  ['name', 'issuer', 'client_id', 'client_secret', 'allowed_domains'],
  {
    name: 'Okta',
    issuer: 'https://login.example.com',
    client_id: 'smartx-crm',
    client_secret: 'a secret of the provider',
    allowed_domains: ['example.com'],
    role_claim: 'groups',
    role_mapping: [{ value: 'crm-admins', role_id: 1 }],
    default_role_id: 3
  }
)
export const IdentityProviderChanges = Change(
  'IdentityProviderChanges',
  { ...fields, client_secret: clientSecret },
  { allowed_domains: ['example.com', 'example.org'] }
)

export const ProviderCheck = Type.Object(
  {
    is_working: Type.Boolean({
      description: 'Whether the provider was found and can be used.',
      example: false
    }),
    fault: Nullable(
      Text(500, {
        description: 'What is wrong; null if nothing is.',
        example: 'The provider does not respond.'
      })
    ),
    redirect_uri: Text(1000, {
      description: 'Redirect URI to be registered at the provider.',
      example: 'https://crm.example.com/api/auth/sign-in/smartx/callback/1'
    })
  },
  {
    $id: 'ProviderCheck',
    additionalProperties: false,
    description: 'The result of a check of an identity provider.'
  }
)

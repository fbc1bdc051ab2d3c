import { Type } from '@sinclair/typebox'
import { risks } from '../../../core/access/permissions.ts'
import {
  Change,
  Creation,
  explained,
  Id,
  Instant,
  Name,
  Nullable,
  OneOf,
  RecordOf,
  Text
} from '../../../core/http/schema.ts'

const scope = Type.String({
  minLength: 1,
  maxLength: 80,
  pattern: explained(
    '^([*]|[a-z-]+:[a-z]+)$',
    'must be a permission such as contacts:read, or *',
    'scope'
  )
})
const network = Type.String({
  minLength: 2,
  maxLength: 49,
  pattern: explained('^[0-9a-fA-F.:]+(/[0-9]{1,3})?$', 'must be an address or a range', 'network')
})

const changeable = {
  name: Name(100, { description: 'What the token is for.', example: 'Nightly import' }),
  scopes: Type.Array(scope, {
    minItems: 1,
    maxItems: 200,
    uniqueItems: true,
    description:
      'Permissions of the token (see `permissions` of `/api/auth/me`), or `*` for all of the ' +
      'user; never more than the user has.',
    example: ['contacts:read', 'contacts:create']
  }),
  risk: OneOf(risks, {
    default: 'read',
    description:
      'What the token may do at most. read: reading and exports of up to 10,000 rows; ' +
      'write: also creating and changing up to 100 records at once; destructive: also deleting, ' +
      'larger changes and larger exports.',
    example: 'write'
  }),
  require_plan: Type.Boolean({
    default: false,
    description:
      'Whether what deletes or restores records, or changes more than 100, needs the plan of a ' +
      'dry run (`If-Plan`).',
    example: false
  }),
  allowed_networks: Type.Array(network, {
    maxItems: 50,
    uniqueItems: true,
    description: 'Addresses and ranges that the token works from. Default: from anywhere.',
    example: []
  }),
  rate_limit: Nullable(
    Type.Integer({
      format: 'int32',
      minimum: 1,
      maximum: 100_000_000,
      description: 'Requests per minute; null for the limit of users.',
      example: 600
    })
  ),
  expires_at: Nullable(
    Instant({ description: 'Time at which it stops working.', example: '2027-11-27T00:00:00.000Z' })
  )
}
const userId = Id({ description: 'User that the token acts for.', example: 1 })

export const ApiToken = RecordOf('ApiToken', 'A credential of a script or an integration.', {
  user_id: userId,
  ...changeable,
  last_used_at: Nullable(
    Instant({ description: 'Time of the last use, to the minute.', example: null })
  ),
  previous_until: Nullable(
    Instant({
      description: 'Time until which the secret of before the last rotation works.',
      example: null
    })
  )
})
export const ApiTokenChanges = Change('ApiTokenChanges', changeable, {
  scopes: ['contacts:read']
})

export const NewApiToken = Creation(
  'NewApiToken',
  {
    ...changeable,
    user_id: {
      ...userId,
      description: 'User that it is to act for: yourself, or for admins anyone. Default: yourself.'
    }
  },
  ['name', 'scopes'],
  { name: 'Nightly import', scopes: ['contacts:read', 'contacts:create'], risk: 'write' }
)

/** The token itself, in the only response that has it. */
export const IssuedApiToken = Type.Object(
  {
    ...ApiToken.properties,
    token: Text(80, {
      description: 'The token, sent as `Authorization: Bearer <token>`. It is never shown again.',
      example: 'sx_1_take-the-one-that-was-shown-when-it-was-created'
    })
  },
  {
    $id: 'IssuedApiToken',
    additionalProperties: false,
    description: 'A credential with its secret.'
  }
)

export const Rotation = Nullable(
  Type.Object(
    {
      overlap_hours: Type.Optional(
        Type.Integer({
          format: 'int32',
          minimum: 0,
          maximum: 168,
          description: 'Hours for which the old secret works on. Default: 24.',
          example: 24
        })
      )
    },
    {
      $id: 'Rotation',
      additionalProperties: false,
      description: 'How a secret is replaced.',
      example: { overlap_hours: 24 }
    }
  )
)

import { identifier, listIndexes, record, recordKeys, reference } from '../../../core/db/columns.ts'
import {
  boolean,
  index,
  jsonb,
  pgTable,
  sql,
  text,
  uniqueIndex,
  varchar
} from '../../../core/db/drizzle.ts'
import { roles } from '../roles/table.ts'

export const filterable = ['name', 'created_at', 'updated_at'] as const

/** Users whose claim has this value get the role. */
export interface RoleMapping {
  value: string
  role_id: number
}

/** Where the users of an organization sign in with OpenID Connect. */
export const identityProviders = pgTable(
  'identity_providers',
  {
    ...record(),
    name: varchar({ length: 100 }).notNull(),
    issuer: varchar({ length: 500 }).notNull(),
    client_id: varchar({ length: 200 }).notNull(),
    /** For this organization, issuer and client: see `secret.ts`. */
    encrypted_secret: text().notNull(),
    scopes: text().array().notNull().default([]),
    allowed_domains: text().array().notNull(),
    trusts_email: boolean().notNull().default(false),
    role_claim: varchar({ length: 200 }),
    role_mapping: jsonb().$type<RoleMapping[]>().notNull().default([]),
    default_role_id: identifier(),
    enforce: boolean().notNull().default(false),
    is_active: boolean().notNull().default(true)
  },
  t => [
    ...recordKeys('identity_providers', t),
    ...listIndexes('identity_providers', t, filterable),
    reference('identity_providers', t, 'default_role_id', roles),
    index('idx_identity_providers_default_role_id').on(t.organization_id, t.default_role_id),
    uniqueIndex('identity_providers_name_unique')
      .on(t.organization_id, sql`lower(${t.name})`)
      .where(sql`${t.deleted_at} is null`)
  ]
)

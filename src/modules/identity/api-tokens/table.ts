import {
  identifier,
  instant,
  listIndexes,
  record,
  recordKeys,
  reference
} from '../../../core/db/columns.ts'
import { risks } from '../../../core/access/permissions.ts'
import {
  boolean,
  index,
  integer,
  pgTable,
  sql,
  text,
  uniqueIndex,
  varchar
} from '../../../core/db/drizzle.ts'
import { users } from '../users/table.ts'

export const filterable = ['name', 'user_id', 'expires_at', 'created_at', 'updated_at'] as const

/**
 * Credentials of scripts and integrations, which act for a user with a part of what that user may
 * do. Secrets are stored as SHA-256; after a rotation, the one before works on for a while.
 */
export const apiTokens = pgTable(
  'api_tokens',
  {
    ...record(),
    user_id: identifier().notNull(),
    name: varchar({ length: 100 }).notNull(),
    scopes: text().array().notNull(),
    risk: varchar({ length: 20, enum: risks }).notNull().default('read'),
    allowed_networks: text().array().notNull().default([]),
    require_plan: boolean().notNull().default(false),
    rate_limit: integer(),
    expires_at: instant(),
    last_used_at: instant(),
    secret_hash: varchar({ length: 64 }).notNull(),
    previous_hash: varchar({ length: 64 }),
    previous_until: instant()
  },
  t => [
    ...recordKeys('api_tokens', t),
    ...listIndexes('api_tokens', t, filterable),
    reference('api_tokens', t, 'user_id', users),
    uniqueIndex('api_tokens_secret_unique').on(t.secret_hash),
    index('idx_api_tokens_previous')
      .on(t.previous_hash)
      .where(sql`previous_hash is not null`)
  ]
)

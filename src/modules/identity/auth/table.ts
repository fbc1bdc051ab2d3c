import { maxAddress } from '../../../core/access/networks.ts'
import { identifier, instant } from '../../../core/db/columns.ts'
import {
  boolean,
  foreignKey,
  index,
  integer,
  pgTable,
  primaryKey,
  sql,
  varchar
} from '../../../core/db/drizzle.ts'
import { defineExpiry } from '../../../core/db/expiry.ts'
import { acrossOrganizations } from '../../../core/db/sql.ts'
import { users } from '../users/table.ts'

/** One login and its family of refresh tokens; ending the session ends all of them. */
export const sessions = pgTable(
  'sessions',
  {
    id: identifier().primaryKey().generatedAlwaysAsIdentity(),
    organization_id: identifier().notNull(),
    user_id: identifier().notNull(),
    created_at: instant().notNull().defaultNow(),
    expires_at: instant().notNull(),
    revoked_at: instant(),
    /** Of the login or the last refresh: when, from where, and by what program. */
    last_used_at: instant().notNull().defaultNow(),
    address: varchar({ length: maxAddress }),
    client: varchar({ length: 200 }),
    /** When the user last proved who they are: at the login, or by a step-up. */
    stepped_up_at: instant().notNull().defaultNow(),
    /** Whether it began with an identity provider, whose second factor counts. */
    by_provider: boolean().notNull().default(false)
  },
  t => [
    foreignKey({
      name: 'sessions_user_id_reference',
      columns: [t.organization_id, t.user_id],
      foreignColumns: [users.organization_id, users.id]
    }),
    index('idx_sessions_user')
      .on(t.organization_id, t.user_id)
      .where(sql`revoked_at is null`),
    index('idx_sessions_expires_at').on(t.expires_at)
  ]
)

/** Refresh tokens, hashed. A used one is kept with its session, so that its reuse is noticed. */
export const refreshTokens = pgTable(
  'refresh_tokens',
  {
    hash: varchar({ length: 64 }).primaryKey(),
    session_id: identifier()
      .notNull()
      .references(() => sessions.id, { onDelete: 'cascade' }),
    used_at: instant()
  },
  t => [index('idx_refresh_tokens_session').on(t.session_id)]
)

const attemptKinds = [
  'username',
  'address',
  'pair',
  'known',
  'reset',
  'reset_from',
  'signup'
] as const
export type AttemptKind = (typeof attemptKinds)[number]

/**
 * Failed logins by account, address and both, who logged in from where, and password resets by user
 * and address; not in Redis, so that the limits hold without it.
 */
export const loginAttempts = pgTable(
  'login_attempts',
  {
    kind: varchar({ length: 10, enum: attemptKinds }).notNull(),
    subject: varchar({ length: 120 }).notNull(),
    attempts: integer().notNull(),
    window_ends_at: instant().notNull()
  },
  t => [
    primaryKey({ name: 'login_attempts_key', columns: [t.kind, t.subject] }),
    index('idx_login_attempts_window_ends_at').on(t.window_ends_at)
  ]
)

// sessions come after their tokens, of which they can have any number
const isLongPast = sql`expires_at < now() - interval '1 day'`
defineExpiry(loginAttempts, sql`window_ends_at < now() - interval '1 minute'`)
defineExpiry(
  refreshTokens,
  sql`session_id in (select id from ${acrossOrganizations(sessions)} where ${isLongPast})`
)
defineExpiry(
  sessions,
  sql`${isLongPast} and not exists (
    select from ${refreshTokens} where session_id = ${sessions.id})`
)

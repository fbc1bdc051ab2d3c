import type { PgTable } from 'drizzle-orm/pg-core'
import type { Services } from '../core/access/context.ts'
import { sql } from '../core/db/drizzle.ts'
import { acrossOrganizations, rowsOf } from '../core/db/sql.ts'
import { loginAttempts, refreshTokens, sessions } from '../modules/identity/auth/table.ts'
import { passwordResets } from '../modules/identity/password-resets/table.ts'
import { signInCodes, signIns } from '../modules/identity/sign-in/table.ts'

/** Rows of each table that are deleted at a time. */
const batch = 5_000

const isPast = sql`expires_at < now()`
const isLongPast = sql`expires_at < now() - interval '1 day'`

/** The rows that have expired, by table. Sessions come last: they can have any number of tokens. */
const expired: [PgTable, ReturnType<typeof sql>][] = [
  [loginAttempts, sql`window_ends_at < now() - interval '1 minute'`],
  [passwordResets, isPast],
  [signIns, isPast],
  [signInCodes, isPast],
  [
    refreshTokens,
    sql`session_id in (select id from ${acrossOrganizations(sessions)} where ${isLongPast})`
  ],
  [
    sessions,
    sql`${isLongPast} and not exists (
      select from ${refreshTokens} where session_id = ${sessions.id})`
  ]
]

/** Deletes some of what has expired, without waiting for any lock. */
export async function deleteExpired({ database }: Services): Promise<void> {
  for (const [table, condition] of expired)
    await rowsOf(
      database,
      database.pool,
      sql`delete from ${table} where ctid = any (array(
        select ctid from ${acrossOrganizations(table)} where ${condition}
        limit ${batch} for update skip locked))`
    )
}

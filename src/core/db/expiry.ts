import type { SQL } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'
import type { Database } from './connections.ts'
import { sql } from './drizzle.ts'
import { acrossOrganizations, rowsOf } from './sql.ts'

/** Rows of each table that are deleted at a time. */
const batch = 5_000

const expired: { table: PgTable; condition: SQL }[] = []

/**
 * Defines which rows of a table have expired: they are deleted in the background, after those of
 * the tables that were defined before it.
 */
export function defineExpiry(table: PgTable, condition: SQL): void {
  expired.push({ table, condition })
}

/** Deletes some of what has expired, without waiting for any lock. Errors: those of `rowsOf`. */
export async function deleteExpired(database: Database): Promise<void> {
  for (const { table, condition } of expired)
    await rowsOf(
      database,
      database.pool,
      sql`delete from ${table} where ctid = any (array(
        select ctid from ${acrossOrganizations(table)} where ${condition}
        limit ${batch} for update skip locked))`
    )
}

import type { Context } from '../access/context.ts'
import { sql } from '../db/drizzle.ts'
import { ruleBroken } from '../errors.ts'

/** Errors: 422 for a time zone that Postgres, which computes with them, does not know. */
export async function assertTimeZone(ctx: Context, name: string | null | undefined): Promise<void> {
  if (name === undefined || name === null) return
  const found = await ctx.one(sql`select from pg_timezone_names where name = ${name}`)
  if (!found) throw ruleBroken('time_zone', 'There is no such time zone.', { rule: 'unknown' })
}

import type { Context } from '../access/context.ts'
import type { Principal } from '../access/principal.ts'
import { maxFew, reachesByOwner } from '../access/reach.ts'
import { sql } from '../db/drizzle.ts'
import { reached } from '../db/sql.ts'

/** Of each caller, by the name of a table, whether they reach few of its records. */
const known = new WeakMap<Principal, Map<string, Promise<boolean>>>()

/**
 * Whether a caller reaches so few records of a table that a list begins with finding these: the
 * index in the order of the list would be read to its end. It is looked up once for a caller, who
 * is kept for seconds; the answer decides how fast a list is, not what is in it.
 */
export async function reachesFew(ctx: Context, table: string): Promise<boolean> {
  const { principal } = ctx
  if (!reachesByOwner(principal.access, table)) return false
  const ofCaller = known.get(principal) ?? new Map<string, Promise<boolean>>()
  known.set(principal, ofCaller)
  const found = ofCaller.get(table) ?? count(ctx, table).then(owned => owned <= maxFew)
  ofCaller.set(table, found)
  found.catch(() => ofCaller.delete(table))
  return await found
}

async function count(ctx: Context, table: string): Promise<number> {
  const [row] = await ctx.read<{ count: number }>(sql`select ${reached('owned', table)} as count`)
  return row!.count
}

import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import type { Context } from '../access/context.ts'
import { sql } from '../db/drizzle.ts'
import { everyRow } from '../db/sql.ts'

/**
 * Whether a record is another one or below it, also by records that the caller may not read.
 * `parent` is the column with the ID of the record above.
 */
export async function isBelow(
  ctx: Context,
  table: PgTable,
  parent: PgColumn,
  id: number,
  other: number
): Promise<boolean> {
  const above = sql`one.${sql.identifier(parent.name)}`
  const found = await ctx.one(sql`
    with recursive ancestors (id) as (
      select ${id}::bigint
      union
      select ${above} from ${everyRow(table, 'one')} join ancestors on one.id = ancestors.id
      where ${above} is not null
    ) select from ancestors where id = ${other}`)
  return found !== undefined
}

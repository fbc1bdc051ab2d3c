import type { Context } from '../access/context.ts'
import { sql } from '../db/drizzle.ts'
import { oursWithDeleted } from '../db/sql.ts'
import { resourceNamed } from './resource.ts'

/** A record by its name for people; `deleted_at` is null unless it is deleted. */
export interface Named {
  id: number
  name: string
  deleted_at: string | null
}

/**
 * The names of records of one type, by the title of its resource and in no order. Deleted records
 * are named too: what refers to them still does. Whether the caller may know is not checked here.
 */
export async function namesOf(ctx: Context, type: string, ids: number[]): Promise<Named[]> {
  const { table, title } = resourceNamed(type)
  const { id, deleted_at } = table
  return await ctx.read<Named>(sql`
    select ${id} as id, ${title ?? id}::text as name, ${deleted_at} as deleted_at
    from ${oursWithDeleted(table)} where ${id} = any(${sql.param(ids)}::bigint[])`)
}

import type { TSchema } from '@sinclair/typebox'
import type { Context } from './context.ts'

/** A record that another one points at: by which field, who finds it, what of it is shown, and the right to see it. */
export interface Relation<Field extends string = string> {
  by: Field
  find: (ctx: Context, ids: number[]) => Promise<{ id: number }[]>
  record: TSchema
  permission?: string
}

/** The `wanted` relations of each row, in the order of the rows: one query for each relation, however many rows. */
export async function related (ctx: Context, rows: Record<string, unknown>[], relations: Record<string, Relation>, wanted: string[]): Promise<Record<string, unknown>[]> {
  const found = await Promise.all(wanted.map(async name => {
    const { by, find, permission } = relations[name]!
    if (permission) ctx.require(permission)
    const ids = [...new Set(rows.map(row => row[by]).filter(id => typeof id === 'number'))]
    const byId = new Map((await find(ctx, ids)).map(record => [record.id, record]))
    return [name, by, byId] as const
  }))
  return rows.map(row => Object.fromEntries(found.flatMap(([name, by, byId]) => {
    const record = byId.get(row[by] as number)
    return record ? [[name, record]] : []
  })))
}

import type { TSchema } from '@sinclair/typebox'
import type { Context } from '../access/context.ts'
import type { ListQuery } from './list.ts'

interface Shown {
  record: TSchema
  permission?: string
}

/** A record, or several, that a field points at: who finds them, what of them is shown, and the right to see it. */
interface Pointed<Field extends string> extends Shown {
  by: Field
  find: (ctx: Context, ids: number[]) => Promise<{ id: number }[]>
}

/** The records that point at each of ours: who finds them, for all of ours together; `query` is what our list was asked for. */
interface Pointing extends Shown {
  each: (ctx: Context, ids: number[], query: ListQuery) => Promise<Map<number, object[]>>
}

export type Relation<Field extends string = string> = Pointed<Field> | Pointing

/** The field a relation needs to be read. */
export const fieldOf = (relation: Relation): string => ('by' in relation ? relation.by : 'id')

/** The `wanted` relations of each row, in the order of the rows: one query for each relation, however many rows. */
export async function related(
  ctx: Context,
  rows: Record<string, unknown>[],
  relations: Record<string, Relation>,
  wanted: string[],
  query: ListQuery
): Promise<Record<string, unknown>[]> {
  const found = await Promise.all(
    wanted.map(async name => {
      const relation = relations[name]!
      if (relation.permission) ctx.require(relation.permission)
      return [
        name,
        'by' in relation
          ? await pointed(ctx, rows, relation)
          : await pointing(ctx, rows, relation, query)
      ] as const
    })
  )
  return rows.map(row =>
    Object.fromEntries(
      found.flatMap(([name, of]) => {
        const value = of(row)
        return value === undefined ? [] : [[name, value]]
      })
    )
  )
}

async function pointed(
  ctx: Context,
  rows: Record<string, unknown>[],
  { by, find }: Pointed<string>
) {
  const ids = new Set(rows.flatMap(row => row[by]).filter(id => typeof id === 'number'))
  const byId = new Map((await find(ctx, [...ids])).map(record => [record.id, record]))
  return (row: Record<string, unknown>) => {
    const ids = row[by]
    return Array.isArray(ids)
      ? ids.flatMap(id => byId.get(id as number) ?? [])
      : byId.get(ids as number)
  }
}

async function pointing(
  ctx: Context,
  rows: Record<string, unknown>[],
  { each }: Pointing,
  query: ListQuery
) {
  const byId = await each(
    ctx,
    rows.map(row => row.id as number),
    query
  )
  return (row: Record<string, unknown>) => byId.get(row.id as number) ?? []
}

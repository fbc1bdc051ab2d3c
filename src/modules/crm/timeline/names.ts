import type { Context } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { oursWithDeleted } from '../../../core/db/sql.ts'
import { resourceNamed } from '../../../core/records/resource.ts'
import { stages } from '../../sales/stages/table.ts'

/** The name of a record for people, by its type and ID; a stage by `<pipeline>/<key>`. */
export type NameOf = (type: string, id: number | string) => string

interface Named {
  id: number | string
  name: string
}

/** The names of records, deleted ones included: what happened to them has happened. */
function namesQuery(type: string, ids: number[]) {
  if (type === 'stage')
    return sql`select pipeline_id || '/' || key as id, name from ${oursWithDeleted(stages)}
      where pipeline_id = any(${sql.param(ids)}::bigint[])`
  const { table, title } = resourceNamed(type)
  return sql`select ${table.id} as id, ${title ?? table.id}::text as name
    from ${oursWithDeleted(table)} where ${table.id} = any(${sql.param(ids)}::bigint[])`
}

/**
 * Runs `write` twice: to see which names it needs, and with them. One query for each type of
 * record, however many there are.
 */
export async function withNames<Text>(ctx: Context, write: (name: NameOf) => Text): Promise<Text> {
  const wanted = new Map<string, Set<number>>()
  write((type, id) => {
    const ids = wanted.get(type) ?? new Set()
    wanted.set(type, ids.add(Number.parseInt(String(id), 10)))
    return ''
  })
  const found = await Promise.all(
    [...wanted].map(async ([type, ids]) => {
      const rows = await ctx.read<Named>(namesQuery(type, [...ids]))
      return rows.map(({ id, name }): [string, string] => [`${type} ${id}`, name])
    })
  )
  const names = new Map(found.flat())
  return write((type, id) => names.get(`${type} ${id}`) ?? `${type} ${id}`)
}

import type { Context } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { oursWithDeleted } from '../../../core/db/sql.ts'
import { namesOf } from '../../../core/records/names.ts'
import { stages } from '../../sales/stages/table.ts'

/** The name of a record for people, by its type and ID; a stage by `<pipeline>/<key>`. */
export type NameOf = (type: string, id: number | string) => string

interface Named {
  id: number | string
  name: string
}

/** The stages of pipelines, deleted ones included: what happened in them has happened. */
const stageNames = async (ctx: Context, pipelines: number[]) =>
  await ctx.read<Named>(sql`
    select pipeline_id || '/' || key as id, name from ${oursWithDeleted(stages)}
    where pipeline_id = any(${sql.param(pipelines)}::bigint[])`)

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
      const find = type === 'stage' ? stageNames(ctx, [...ids]) : namesOf(ctx, type, [...ids])
      const rows: Named[] = await find
      return rows.map(({ id, name }): [string, string] => [`${type} ${id}`, name])
    })
  )
  const names = new Map(found.flat())
  return write((type, id) => names.get(`${type} ${id}`) ?? `${type} ${id}`)
}

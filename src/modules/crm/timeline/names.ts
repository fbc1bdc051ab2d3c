import type { Context } from '../../../core/access/context.ts'
import { query, run } from '../../../core/db/database.ts'
import { sql } from '../../../core/db/drizzle.ts'

const organization = sql`${sql.placeholder('organization')}::bigint`
const ids = sql`${sql.placeholder('ids')}::bigint[]`
const named = (table: string, name: string) =>
  query<Named>(
    sql`select id, ${sql.raw(name)} as name from ${sql.identifier(table)} where organization_id = ${organization} and id = any(${ids})`
  )

/** What records are called; deleted ones as well, for what happened to them has happened. Stages are those of the pipelines asked for. */
const called = {
  account: named('accounts', 'name'),
  campaign: named('campaigns', 'name'),
  contact: named('contacts', "first_name || ' ' || last_name"),
  lead: query<Named>(sql`select l.id, coalesce(nullif(concat_ws(', ', c.first_name || ' ' || c.last_name, l.source), ''), 'lead ' || l.id) as name
    from leads l left join contacts c on c.organization_id = l.organization_id and c.id = l.contact_id
    where l.organization_id = ${organization} and l.id = any(${ids})`),
  opportunity: named('opportunities', 'title'),
  pipeline: named('pipelines', 'name'),
  stage: query<Named>(
    sql`select pipeline_id || '/' || key as id, name from stages where organization_id = ${organization} and pipeline_id = any(${ids})`
  ),
  tag: named('tags', 'name'),
  user: named('users', 'username')
}
interface Named {
  id: number | string
  name: string
}
export type Kind = keyof typeof called

/** What a record is called: a stage by `<pipeline>/<key>`, every other by its number. */
export type NameOf = (kind: Kind, id: number | string) => string

/** Lets `write` write twice: to see which names it needs, and with them. One query for each kind of record, however many there are. */
export async function withNames<Text>(ctx: Context, write: (name: NameOf) => Text): Promise<Text> {
  const wanted = new Map<Kind, Set<number>>()
  write((kind, id) => {
    const known = wanted.get(kind) ?? new Set()
    wanted.set(kind, known.add(Number.parseInt(String(id), 10)))
    return ''
  })
  const found = await Promise.all(
    [...wanted].map(async ([kind, ids]) =>
      (
        await run(ctx.point, called[kind], { organization: ctx.organization_id, ids: [...ids] })
      ).map(({ id, name }): [string, string] => [`${kind} ${id}`, name])
    )
  )
  const names = new Map(found.flat())
  return write((kind, id) => names.get(`${kind} ${id}`) ?? `${kind} ${id}`)
}

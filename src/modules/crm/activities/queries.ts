import { LRUCache } from 'lru-cache'
import { visibleColumns } from '../../../core/db/columns.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { compile, ours, reachedBy, type Statement } from '../../../core/db/sql.ts'
import { resourceNamed } from '../../../core/records/resource.ts'
import { linkColumn } from './resource.ts'
import { since } from './since.ts'
import { activities, activityLinks, type Link } from './table.ts'

/**
 * The positions `i` of those of the links (`{ type, id, i }` as JSON) whose records are missing.
 */
export function missingLinks(links: (Link & { i: number })[]) {
  const types = [...new Set(links.map(({ type }) => type))]
  const cases = types.map(type => {
    const { table } = resourceNamed(type)
    return sql`when ${type} then exists (select from ${ours(table, 'r')} where r.id = link.id)`
  })
  const input = JSON.stringify(links)
  return sql`select i
    from jsonb_to_recordset(${input}::text::jsonb) as link (type text, id bigint, i integer)
    where not case type ${sql.join(cases, sql` `)} end order by i`
}

type Row = typeof activities.$inferSelect & { subject_id: number }

const placeholder = (name: string) => sql.placeholder(name)

/** By type of record and the fields that the caller does not see. */
const newest = new LRUCache<string, Statement<Row>>({ max: 200 })

/**
 * The newest activities, without the `hidden` fields, of each of some records of a type, by
 * idx_activity_links_<type>_id: none before `since`, none from (`at`, `id`) on.
 */
export function newestActivities(type: Link['type'], hidden: ReadonlySet<string>): Statement<Row> {
  const key = [type, ...hidden].join()
  const statement = newest.get(key) ?? compileNewest(type, hidden)
  newest.set(key, statement)
  return statement
}

function compileNewest(type: Link['type'], hidden: ReadonlySet<string>): Statement<Row> {
  const shown = Object.entries(visibleColumns(activities)).filter(([name]) => !hidden.has(name))
  const columns = sql.join(
    shown.map(([, column]) => column),
    sql`, `
  )
  return compile<Row>(sql`
      select subject.id as subject_id, ${columns}
      from unnest(${placeholder('ids')}::bigint[]) subject (id), lateral (
        select distinct ${activityLinks.occurred_at}, ${activityLinks.activity_id}
        from ${ours(activityLinks)}
        where ${linkColumn(type)} = subject.id
          and ${activityLinks.occurred_at} >= ${since(sql`${placeholder('since')}`)}
          and (${activityLinks.occurred_at}, ${activityLinks.activity_id})
            < (${placeholder('at')}::timestamptz, ${placeholder('id')}::bigint)
          and ${reachedBy('read', activities, activityLinks.activity_id)}
        order by ${activityLinks.occurred_at} desc, ${activityLinks.activity_id} desc
        limit ${placeholder('limit')}::int
      ) link
      join ${ours(activities)} on ${activities.id} = link.activity_id
      order by subject.id, link.occurred_at desc, link.activity_id desc`)
}

import { visibleColumns } from '../../../core/db/columns.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { compile, ours, reachedBy } from '../../../core/db/sql.ts'
import { resourceNamed } from '../../../core/records/resource.ts'
import { linkColumn } from './resource.ts'
import { since } from './since.ts'
import { activities, activityLinks, linkable, type Link } from './table.ts'

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

const columns = sql.join(Object.values(visibleColumns(activities)), sql`, `)
const placeholder = (name: string) => sql.placeholder(name)

/**
 * For each type of record, the newest activities of each of some records, by
 * idx_activity_links_<type>_id: none before `since`, none from (`at`, `id`) on.
 */
export const newestActivities = Object.fromEntries(
  linkable.map(type => [
    type,
    compile<Row>(sql`
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
  ])
)

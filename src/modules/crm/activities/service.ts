import type { Static } from '@sinclair/typebox'
import type { SQL } from 'drizzle-orm'
import { collection, type Versions } from '../../../core/records/repository.ts'
import { shownColumns } from '../../../core/db/columns.ts'
import type { Context } from '../../../core/access/context.ts'
import { query, run, soon } from '../../../core/db/database.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { impossibleMove, ruleBroken, unknownReference } from '../../../core/errors.ts'
import { isAsker } from '../../../core/records/filter.ts'
import type { Activity, ActivityChanges, Completion, NewActivity } from './schema.ts'
import { activities, activityLinks, type Link, linkable } from './table.ts'

const place = (name: string) => sql.placeholder(name)

const subjectOf = (type: Link['type']) => activityLinks[`${type}_id`]
const linkedTo = (type: Link['type']) => (id: SQL) =>
  sql`exists (select from ${activityLinks}
  where ${activityLinks.organization_id} = ${activities.organization_id} and ${activityLinks.activity_id} = ${activities.id} and ${subjectOf(type)} = ${id})`

const {
  create: insert,
  update: change,
  lock,
  ...rest
} = collection('activity', activities, {
  contact_id: linkedTo('contact'),
  lead_id: linkedTo('lead'),
  account_id: linkedTo('account'),
  opportunity_id: linkedTo('opportunity'),
  overdue: () =>
    sql`(${activities.due_at} is not null and ${activities.due_at} < now() and ${activities.status} in ('planned', 'in_progress'))`,
  mine: isAsker(activities.assigned_to)
})
export const { list, stream, get, find, where, createMany, remove, restore, history, cacheKey } =
  rest

/** Makes an activity; a note is completed when it is written. Errors: 422. */
export async function create(ctx: Context, input: Static<typeof NewActivity>) {
  const status =
    input.status ?? (input.type === 'note' || input.completed_at ? 'completed' : 'planned')
  if (input.links) await checkLinks(ctx, input.links)
  return await insert(ctx, {
    ...input,
    status,
    completed_at: completedAt(status, input.completed_at)
  })
}

/** Changes an activity. Errors: 404, 412, 422, 409 when it was cancelled and would be completed. */
export async function update(
  ctx: Context,
  id: number,
  changes: Static<typeof ActivityChanges>,
  versions?: Versions
) {
  const { status: next, completed_at, links } = changes
  if (next === undefined && completed_at === undefined && links === undefined)
    return await change(ctx, id, changes, versions)
  return await ctx.transaction(async ctx => {
    const before = await lock(ctx, id, versions)
    const status = next ?? before.status
    if (status === 'completed' && before.status === 'cancelled') {
      throw impossibleMove('status', 'What was cancelled is not completed: plan it anew first.', [
        'planned',
        'in_progress'
      ])
    }
    if (links) await checkLinks(ctx, links, before.links)
    return await change(ctx, id, {
      ...changes,
      completed_at: completedAt(status, completed_at, before.completed_at)
    })
  })
}

/** Completes an activity; one that is completed stays as it is. Errors: 404, 412, 409 when it was cancelled. */
export async function complete(
  ctx: Context,
  id: number,
  outcome: Static<typeof Completion>,
  versions?: Versions
) {
  return await ctx.transaction(async ctx => {
    const { status } = await lock(ctx, id)
    return await update(
      ctx,
      id,
      status === 'completed' ? {} : { ...outcome, status: 'completed' },
      versions
    )
  })
}

/** Clocks of others may be ahead of ours. Milliseconds. */
const minute = 60_000

/** `completed_at` follows the status: who saves a form may send back the time that was. Errors: 422 for one that cannot be. */
function completedAt(status: string, given?: string | null, before?: string | null): string | null {
  if (given && given !== before && Date.parse(given) > Date.now() + minute)
    throw ruleBroken('completed_at', 'What is completed lies in the past.')
  if (status === 'completed') return given ?? before ?? new Date().toISOString()
  if (given && given !== before)
    throw ruleBroken('completed_at', 'Only a completed activity has a time when it was completed.')
  return null
}

/** Errors: 422 for a record that is linked twice or is not there; one that was linked `before` may be gone by now. */
async function checkLinks(ctx: Context, links: Link[], before: Link[] = []): Promise<void> {
  const keys = links.map(({ type, id }) => `${type} ${id}`)
  const twice = keys.findIndex((key, i) => keys.indexOf(key) < i)
  if (twice >= 0) throw ruleBroken(`links/${twice}`, 'An activity is linked to a record only once.')
  const known = new Set(before.map(({ type, id }) => `${type} ${id}`))
  const fresh = links.map((link, i) => ({ ...link, i })).filter((_, i) => !known.has(keys[i]!))
  if (fresh.length === 0) return
  const missing = await soon(ctx.connection<{ i: number }[]>`
    select i from jsonb_to_recordset(${JSON.stringify(fresh)}::text::jsonb) as link (type text, id bigint, i integer) where not case type
      when 'contact' then exists (select from contacts r where r.organization_id = ${ctx.organization_id} and r.id = link.id and r.deleted_at is null)
      when 'lead' then exists (select from leads r where r.organization_id = ${ctx.organization_id} and r.id = link.id and r.deleted_at is null)
      when 'account' then exists (select from accounts r where r.organization_id = ${ctx.organization_id} and r.id = link.id and r.deleted_at is null)
      when 'opportunity' then exists (select from opportunities r where r.organization_id = ${ctx.organization_id} and r.id = link.id and r.deleted_at is null)
    end order by i`)
  if (missing.length > 0) throw unknownReference(missing.map(({ i }) => `links/${i}/id`))
}

/**
 * The point in time that a text of the format `date-time-or-duration` means: `30d` is 30 days ago. It is told by the database, when it
 * is asked: a list's cursor holds the words of the question, so that "30d" goes on being the same list while time passes.
 */
export const since = (text: SQL) =>
  sql`case when ${text}::text ~ '[hdw]$' then now() - ${text}::text::interval else ${text}::text::timestamptz end`

type Row = Static<typeof Activity>

/** The newest activities of each of some records, by idx_activity_links_<type>_id: an activity is as new as its completion, or else its making. */
const newest = Object.fromEntries(
  linkable.map(type => [
    type,
    query<Row & { subject_id: number }>(sql`
  select subject.id as subject_id, ${sql.join(Object.values(shownColumns(activities)), sql`, `)}
  from unnest(${place('ids')}::bigint[]) subject (id), lateral (
    select ${activityLinks.activity_id}, ${activityLinks.occurred_at} from ${activityLinks}
    where ${activityLinks.organization_id} = ${place('organization')}::bigint and ${subjectOf(type)} = subject.id
      and ${activityLinks.occurred_at} >= ${since(sql`${place('since')}`)}
      and (${activityLinks.occurred_at}, ${activityLinks.activity_id}) < (${place('at')}::timestamptz, ${place('id')}::bigint)
    order by ${activityLinks.occurred_at} desc, ${activityLinks.activity_id} desc limit ${place('limit')}::int
  ) link join ${activities} on ${activities.organization_id} = ${place('organization')}::bigint and ${activities.id} = link.activity_id
  order by subject.id, link.occurred_at desc, link.activity_id desc`)
  ])
)

interface Newest {
  limit: number
  since?: string
  before?: [at: string, id: number]
}

/** At most `limit` activities of each of the records `ids`, newest first: none before `since`, none from `before` on. */
export async function newestOf(
  ctx: Context,
  type: Link['type'],
  ids: number[],
  wanted: Newest
): Promise<Map<number, Row[]>> {
  const { limit, since = '-infinity', before: [at, id] = ['infinity', 0] } = wanted
  const found = await run(ctx.connection, newest[type]!, {
    organization: ctx.organization_id,
    ids,
    limit,
    since,
    at,
    id
  })
  const bySubject = Map.groupBy(found, ({ subject_id }) => subject_id)
  return new Map(
    [...bySubject].map(([subject_id, rows]) => [
      subject_id,
      rows.map(({ subject_id: _, ...activity }) => activity)
    ])
  )
}

/** When an activity was done, or else when it was made: its place among what happened. */
export const occurredAt = ({ completed_at, created_at }: Row) => completed_at ?? created_at

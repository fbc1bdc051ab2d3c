import type { SQL } from 'drizzle-orm'
import type { Context } from '../access/context.ts'
import { sql } from '../db/drizzle.ts'
import { organization, oursWithDeleted } from '../db/sql.ts'
import { cursorExpired, invalidParameter } from '../errors.ts'
import { columnCondition, type Filter } from './filter.ts'
import { isoInstantsIn, type EventRow } from './events.ts'
import { resourceNamed, type Resource } from './resource.ts'

/**
 * A place in the feed of an organization: after the event at `position`, 0 for the beginning.
 * `mark` is of the hash of the chain there, which tells whether what came before is what it was:
 * after a restore it may not be.
 */
export interface Place {
  position: number
  mark: string
}

export const beginning: Place = { position: 0, mark: '' }

/** A place as callers know it. */
export const cursorOf = ({ position, mark }: Place): string => `${position}-${mark}`

export const cursorPattern = '^(0-|[1-9][0-9]{0,14}-[0-9a-f]{12})$'

/** The place of a cursor that matches the pattern. */
export function placeOf(cursor: string): Place {
  const [position = '', mark = ''] = cursor.split('-')
  return { position: Number(position), mark }
}

/** When a change of a record concerns those who want records that match: when it begins to, … */
export const filterMoments = ['change', 'enter', 'leave'] as const
export type FilterMoment = (typeof filterMoments)[number]

/** Which events are read: `types` of their own, or of any type about `subjects`. */
export interface Selection {
  subjects: string[]
  types: string[]
  /** Only those of records that match, by the fields of one resource. */
  filter?: { resource: Resource; filters: Filter[]; on: FilterMoment }
}

/** An event at its place, with the name that the record had then. */
export interface FeedEvent extends EventRow {
  place: Place
  name: string | null
  request_id: string | null
  session_id: number | null
  api_token_id: number | null
}

/** What was read: `end` is the place up to which there is nothing else. */
export interface FeedPart {
  events: FeedEvent[]
  end: Place
  hasMore: boolean
}

/** Positions that are looked at for one page, so that a rare type does not take long. */
const most = 10_000

const markOf = sql.raw(`encode(substr(hash, 1, 6), 'hex')`)
const chain = sql`(select position, event_id, ${markOf} as mark from event_chain
  where organization_id = ${organization})`

/** The last place of the feed. Errors: as `Context.read`. */
export async function lastPlace(ctx: Context): Promise<Place> {
  const [last] = await ctx.read<Place>(
    sql`select position, mark from ${chain} c order by position desc limit 1`
  )
  return last ?? beginning
}

/** The place after the event at a position. Errors: as `Context.read`. */
export async function placeAt(ctx: Context, position: number): Promise<Place> {
  const [place] = await ctx.read<Place>(
    sql`select position, mark from ${chain} c where position = ${position}::bigint`
  )
  return place ?? beginning
}

/** Errors: 410 for a place that is not of this feed; as `Context.read`. */
export async function assertPlace(ctx: Context, { position, mark }: Place): Promise<void> {
  if (position > 0 && (await placeAt(ctx, position)).mark !== mark) throw cursorExpired()
}

/** The resources whose records a selection is about. */
export const resourcesOf = ({ subjects, types }: Selection): Resource[] =>
  [...new Set([...subjects, ...types.map(type => type.split('.')[0]!)])].map(resourceNamed)

/** Those of them of which the caller reaches only some records. */
export const narrowOf = (ctx: Context, selection: Selection): Resource[] =>
  resourcesOf(selection).filter(
    ({ path }) => ctx.principal.access.reachOf(`${path}:read`) !== 'all'
  )

/**
 * The events after a place, of records that the caller may read now, with all of their fields. It
 * takes the same time wherever that is. Errors: 410 for a place that is not of this feed; as
 * `Context.rows`.
 */
export async function eventsAfter(
  ctx: Context,
  after: Place,
  selection: Selection,
  limit: number
): Promise<FeedPart> {
  const [bounds] = await ctx.read<Place & { start: string | null }>(sql`
    select start.mark as start, last.position, last.mark
    from (select) one
    left join ${chain} start on start.position = ${after.position}::bigint
    left join lateral (
      select position, mark from ${chain} c
      where position <= ${after.position + most}::bigint order by position desc limit 1
    ) last on true`)
  if (after.position > 0 && bounds!.start !== after.mark) throw cursorExpired()
  const end =
    bounds!.position === null ? beginning : { position: bounds!.position, mark: bounds!.mark }
  const events =
    end.position > after.position ? await between(ctx, after, end, selection, limit) : []
  const isFull = events.length === limit
  return {
    events,
    end: isFull ? events.at(-1)!.place : end,
    hasMore: isFull || end.position === after.position + most
  }
}

type Found = Omit<FeedEvent, 'place' | 'name'> & Place

async function between(
  ctx: Context,
  after: Place,
  end: Place,
  selection: Selection,
  limit: number
): Promise<FeedEvent[]> {
  const { subjects, types, filter } = selection
  // in the query: where a page ends must not tell of records that are out of reach
  const reached = narrowOf(ctx, selection).map(
    ({ name, table }) => sql`and (subject_type <> ${name}::text or exists (
      select from ${oursWithDeleted(table)} where ${table.id} = subject_id))`
  )
  const rows = await ctx.rows<Found>(sql`
    select c.position, c.mark, id, type, subject_type, subject_id, actor_id, changed, before, after,
      created_at, request_id, session_id, api_token_id, operation_id
    from ${chain} c
    join (select * from events where organization_id = ${organization}) e on e.id = c.event_id
    where c.position > ${after.position}::bigint and c.position <= ${end.position}::bigint
      and details is null
      and (subject_type = any(${sql.param(subjects)}::text[])
        or type = any(${sql.param(types)}::text[]))
      ${sql.join(reached, sql` `)}
      ${filter ? matches(filter) : sql``}
    order by c.position limit ${limit}::int`)
  const names = await namesIn(ctx, rows)
  return rows.map(({ position, mark, before, after, ...event }) => ({
    ...event,
    before: before && isoInstantsIn(before),
    after: after && isoInstantsIn(after),
    place: { position, mark },
    name: names.get(event.id) ?? null
  }))
}

/** The condition that the record of an event matched filters before or after it. */
function matches({ resource, filters, on }: NonNullable<Selection['filter']>): SQL {
  const { table, columns } = resource
  const conditions = filters.map(filter => {
    const column = columns[filter.field]
    if (!column) throw invalidParameter('filter', `Events cannot be filtered by ${filter.field}.`)
    return columnCondition(column, filter, sql`${sql.param(filter.value)}`)
  })
  const all = sql.join([sql`true`, ...conditions], sql` and `)
  const matched = (record: string) => sql`exists (
    select from jsonb_populate_record(null::${table}, ${sql.identifier(record)}) ${table}
    where ${sql.identifier(record)} is not null and ${all})`
  // a record in the bin is in no list: it has left them
  const was = sql`(${matched('before')} and before ->> 'deleted_at' is null)`
  const is = sql`(${matched('after')} and after ->> 'deleted_at' is null)`
  if (on === 'enter') return sql`and ${is} and not ${was}`
  return on === 'leave' ? sql`and ${was} and not ${is}` : sql`and (${is} or ${was})`
}

/** The names that the records of events had, by the IDs of the events. */
async function namesIn(ctx: Context, events: Found[]): Promise<Map<number, string>> {
  const byType = Map.groupBy(events, ({ subject_type }) => subject_type)
  const found = await Promise.all(
    [...byType].map(async ([type, events]) => {
      const { table, title } = resourceNamed(type)
      if (!title) return []
      const ids = events.map(({ id }) => id)
      return await ctx.read<{ id: number; name: string }>(sql`
        select e.id, ${title}::text as name
        from (select * from events where organization_id = ${organization}) e
        cross join jsonb_populate_record(null::${table}, coalesce(e.after, e.before)) ${table}
        where e.id = any(${sql.param(ids)}::bigint[])`)
    })
  )
  return new Map(found.flat().map(({ id, name }) => [id, name]))
}

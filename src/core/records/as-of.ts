import type { Context } from '../access/context.ts'
import { defaultsOf } from '../db/columns.ts'
import { isoInstant } from '../db/connections.ts'
import { sql } from '../db/drizzle.ts'
import { ours, type Values } from '../db/sql.ts'
import { events } from './events.ts'
import { isAfter } from './filter.ts'
import type { Resource } from './resource.ts'

/** What the log knows of a record at a moment. */
interface Found {
  /** Its columns at that time; null before its first event, and without any events. */
  state: Values | null
  /** Whether it was created later, as its first event says, or without one, its row. */
  is_later: boolean
}

/**
 * A record as it was at a moment (a date and time, or the end of a date where the organization is),
 * in the columns that it has now; undefined if it did not exist yet. `row` is the record as it is
 * now: for one that was stored before there was a log, and has not been changed since.
 */
export async function stateAsOf<Row extends object>(
  ctx: Context,
  resource: Resource,
  row: Row,
  moment: string
): Promise<Row | undefined> {
  const found = await ctx.one<Found>(stateAt(resource.name, row as Values, moment))
  const { state, is_later } = found!
  if (is_later) return undefined
  return state === null ? row : (asNow(resource, state, row as Values) as Row)
}

/**
 * The events of a record are in the order of their IDs, since each locked its row; their times are
 * those of the beginnings of their transactions, which can be in another order. What has happened
 * is what comes before the first event of a later time. Both are found by idx_events_subject.
 */
function stateAt(type: string, { id, created_at }: Values, moment: string) {
  const ofRecord = sql`${events.subject_type} = ${type} and ${events.subject_id} = ${id}
    and ${events.details} is null`
  return sql`
    with later as materialized (
      select ${events.id}, ${events.before} from ${ours(events)}
      where ${ofRecord} and ${isAfter(events.created_at, moment)} order by ${events.id} limit 1
    ), last as materialized (
      select ${events.after} from ${ours(events)}
      where ${ofRecord} and ${events.id} < coalesce((select id from later), ${maxId})
      order by ${events.id} desc limit 1
    )
    select coalesce((select after from last), (select before from later)) as state,
      not exists (select from last) and (
        exists (select from later where before is null)
        or ${isAfter(sql`${created_at}::timestamptz`, moment)}
      ) as is_later`
}

const maxId = sql.raw('9223372036854775807')

/**
 * A state of the log as a record of today. A column that it lacks has its default, or null; one
 * that has no constant default and cannot be null has its present value.
 */
function asNow({ table, columns }: Resource, state: Values, row: Values): Values {
  const defaults = defaultsOf(table)
  const then = Object.entries(columns).map(([name, column]) => {
    const value = state[name]
    if (value === undefined || (value === null && column.notNull))
      return [name, defaults[name] ?? (column.notNull ? row[name] : null)]
    const isInstant = typeof value === 'string' && column.getSQLType().startsWith('timestamp')
    return [name, isInstant ? isoInstant(value) : value]
  })
  return Object.fromEntries(then) as Values
}

import type { Context } from '../access/context.ts'
import { identifier, instant, visibleColumns } from '../db/columns.ts'
import { isoInstant } from '../db/connections.ts'
import { customType, index, jsonb, pgTable, primaryKey, sql, text, varchar } from '../db/drizzle.ts'
import { defined } from '../defined.ts'
import { equal } from './filter.ts'
import { Lists, type ListQuery, type Page } from './list.ts'

const xid8 = customType<{ data: string }>({ dataType: () => 'xid8' })

/**
 * The event log: one row for each change of a record, written by the trigger of its table
 * (drizzle/0002) in the transaction of the change. Append-only. `xid` is the writing transaction:
 * IDs are not in the order of commits, and neither is (xid, id).
 */
export const events = pgTable(
  'events',
  {
    id: identifier().notNull().generatedAlwaysAsIdentity(),
    xid: xid8()
      .notNull()
      .default(sql`pg_current_xact_id()`),
    organization_id: identifier().notNull(),
    type: varchar({ length: 60 }).notNull(),
    subject_type: varchar({ length: 40 }).notNull(),
    subject_id: identifier().notNull(),
    actor_id: identifier(),
    changed: text().array().notNull(),
    before: jsonb(),
    after: jsonb(),
    created_at: instant().notNull().defaultNow()
  },
  t => [
    primaryKey({ name: 'events_key', columns: [t.organization_id, t.xid, t.id] }),
    index('idx_events_subject').on(t.organization_id, t.subject_type, t.subject_id, t.id)
  ]
)

export interface EventRow {
  id: number
  type: string
  subject_type: string
  subject_id: number
  actor_id: number | null
  changed: string[]
  before: Record<string, unknown> | null
  after: Record<string, unknown> | null
  created_at: string
}

const { xid: _, ...columns } = visibleColumns(events)
const lists = new Lists<EventRow>({ name: 'event', table: events, columns })
const ofRecord = (subject_type: string, subject_id: number): ListQuery => ({
  filters: equal({ subject_type, subject_id })
})

/** The events of one record, newest first. */
export async function eventsOf(
  ctx: Context,
  subject_type: string,
  subject_id: number,
  { limit, cursor }: ListQuery
): Promise<Page<EventRow>> {
  const query = { ...ofRecord(subject_type, subject_id), ...defined({ limit, cursor }) }
  const { data, ...page } = await lists.list(ctx, query)
  return { data: data.map(withIsoInstants), ...page }
}

/** At most `limit` events of one record before the event `before`, newest first: to merge lists. */
export async function eventsBefore(
  ctx: Context,
  subject_type: string,
  subject_id: number,
  limit: number,
  before?: number
): Promise<EventRow[]> {
  const position = before === undefined ? undefined : [before]
  const rows = await lists.after(ctx, ofRecord(subject_type, subject_id), limit, position)
  return rows.map(withIsoInstants)
}

/** Postgres writes instants in JSON in a format of its own; callers get them as in the record. */
const withIsoInstants = (event: EventRow): EventRow => ({
  ...event,
  before: isoInstantsIn(event.before),
  after: isoInstantsIn(event.after)
})

const isoInstantsIn = (row: Record<string, unknown> | null) =>
  row &&
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      name.endsWith('_at') && typeof value === 'string' ? isoInstant(value) : value
    ])
  )

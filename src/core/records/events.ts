import { identifier, instant } from '../db/columns.ts'
import type { Context } from '../access/context.ts'
import { isoInstant } from '../db/database.ts'
import { customType, index, jsonb, pgTable, primaryKey, sql, text, varchar } from '../db/drizzle.ts'
import { lists, type ListQuery, type Page } from './list.ts'

const xid8 = customType<{ data: string }>({ dataType: () => 'xid8' })

/**
 * The event log: one row for each change of a record, written by the trigger of its table (drizzle/0002) in the
 * transaction of the change. Append-only. `xid` is the writing transaction: sequence numbers are not in order of commit,
 * so a reader who must miss nothing reads by (xid, id) below the oldest transaction still running.
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
const shown = [
  'id',
  'type',
  'subject_type',
  'subject_id',
  'actor_id',
  'changed',
  'before',
  'after',
  'created_at'
]
const { list, after } = lists<EventRow>('event', events)
const ofRecord = (subject_type: string, subject_id: number): ListQuery => ({
  filters: [
    { field: 'subject_type', operator: 'eq', value: subject_type },
    { field: 'subject_id', operator: 'eq', value: subject_id }
  ],
  fields: shown
})

/** The events of one record, newest first. */
export async function eventsOf(
  ctx: Context,
  subject_type: string,
  subject_id: number,
  { limit, cursor }: ListQuery
): Promise<Page<EventRow>> {
  const { data, ...page } = await list(ctx, {
    ...ofRecord(subject_type, subject_id),
    ...(limit !== undefined && { limit }),
    ...(cursor !== undefined && { cursor })
  })
  return { data: data.map(spelled), ...page }
}

/** At most `limit` events of one record, newest first, from before the event `before` on: for those who merge lists. */
export const eventsBefore = async (
  ctx: Context,
  subject_type: string,
  subject_id: number,
  limit: number,
  before?: number
): Promise<EventRow[]> =>
  (
    await after(
      ctx,
      ofRecord(subject_type, subject_id),
      limit,
      before === undefined ? undefined : [before]
    )
  ).map(spelled)

const spelled = (event: EventRow): EventRow => ({
  ...event,
  before: asShown(event.before),
  after: asShown(event.after)
})
/** Postgres spells instants in JSON its own way; here they are as in the record itself. */
const asShown = (row: Record<string, unknown> | null) =>
  row &&
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      name.endsWith('_at') && typeof value === 'string' ? isoInstant(value) : value
    ])
  )

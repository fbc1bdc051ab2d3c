import type { Context } from '../access/context.ts'
import { identifier, instant, visibleColumns } from '../db/columns.ts'
import { isoInstant } from '../db/connections.ts'
import {
  customType,
  index,
  jsonb,
  pgTable,
  primaryKey,
  sql,
  text,
  uniqueIndex,
  varchar
} from '../db/drizzle.ts'
import { defined } from '../defined.ts'
import { actor, organization } from '../db/sql.ts'
import { equal, type Filter } from './filter.ts'
import { Lists, type ListQuery, type Page } from './list.ts'

const xid8 = customType<{ data: string }>({ dataType: () => 'xid8' })
const pgSnapshot = customType<{ data: string }>({ dataType: () => 'pg_snapshot' })
const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' })

/**
 * The event log: one row for each change of a record, written by the trigger of its table in the
 * transaction of the change, and one for each access (`recordAccess`), which has `details`.
 * Append-only. `xid` is the writing transaction: IDs are not in the order of commits, and neither
 * is (xid, id). The address and what follows it are those of the request, null without
 * one.
 */
export const events = pgTable(
  'events',
  {
    id: identifier().notNull().generatedAlwaysAsIdentity(),
    xid: xid8()
      .notNull()
      .default(sql`pg_current_xact_id()`),
    organization_id: identifier().notNull(),
    // `text`: compared as it is, unlike names (see `keyOf`)
    type: text().notNull(),
    subject_type: varchar({ length: 40 }).notNull(),
    subject_id: identifier().notNull(),
    actor_id: identifier(),
    changed: text().array().notNull(),
    before: jsonb(),
    after: jsonb(),
    created_at: instant().notNull().defaultNow(),
    details: jsonb(),
    address: text(),
    request_id: text(),
    session_id: identifier(),
    api_token_id: identifier(),
    /** The operation that it is a part of, see `operations`. */
    operation_id: identifier()
  },
  t => [
    primaryKey({ name: 'events_key', columns: [t.organization_id, t.id] }),
    index('idx_events_subject').on(t.organization_id, t.subject_type, t.subject_id, t.id),
    index('idx_events_xid').on(t.xid),
    // cheap where rows come in the order of time, as they do here
    index('idx_events_created_at').using('brin', t.created_at),
    index('idx_events_actor_id').on(t.organization_id, t.actor_id, t.id),
    index('idx_events_type').on(t.organization_id, t.type, t.id),
    index('idx_events_request_id').on(t.organization_id, t.request_id, t.id),
    index('idx_events_address')
      .on(t.organization_id, t.address, t.id)
      .where(sql`details is not null`),
    index('idx_events_api_token_id')
      .on(t.organization_id, t.api_token_id, t.id)
      .where(sql`api_token_id is not null`),
    index('idx_events_accesses_of_tokens')
      .on(t.organization_id, t.api_token_id, t.id)
      .where(sql`api_token_id is not null and details is not null`),
    index('idx_events_operation_id')
      .on(t.organization_id, t.operation_id, t.id)
      .where(sql`operation_id is not null`)
  ]
)

/**
 * The events of each organization in an order that never changes: `hash` is the SHA-256 of the one
 * before and of the `digest` of the event. `chain_events()` adds those that are new.
 */
export const eventChain = pgTable(
  'event_chain',
  {
    organization_id: identifier().notNull(),
    position: identifier().notNull(),
    event_id: identifier().notNull(),
    digest: bytea().notNull(),
    hash: bytea().notNull()
  },
  t => [
    primaryKey({ name: 'event_chain_key', columns: [t.organization_id, t.position] }),
    uniqueIndex('event_chain_event_unique').on(t.organization_id, t.event_id)
  ]
)

/** One row: the snapshot in which `chain_events()` last looked for new events. */
export const eventSequence = pgTable('event_sequence', { snapshot: pgSnapshot().notNull() })

/** What can be done to a record, as the types of its events end. */
export const changeKinds = ['created', 'updated', 'deleted', 'restored'] as const
export type ChangeKind = (typeof changeKinds)[number]

/** The same, and what only the owner of the database can do: to delete a row for good. */
export const eventKinds = [...changeKinds, 'purged'] as const

/** What an event can be besides the change of a record. */
export const accessTypes = [
  'login.succeeded',
  'login.challenged',
  'login.failed',
  'session.ended',
  'identity.linked',
  'identity.unlinked',
  'recovery_code.used',
  'recovery_codes.renewed',
  'permission.denied',
  'export.started',
  'export.downloaded',
  'organization.updated',
  'deliveries.paused'
] as const
type AccessType = (typeof accessTypes)[number]

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
  operation_id: number | null
}

const lists = new Lists<EventRow>({ name: 'event', table: events, columns: visibleColumns(events) })
const fields = [
  'id',
  'type',
  'subject_type',
  'subject_id',
  'actor_id',
  'changed',
  'before',
  'after',
  'created_at',
  'operation_id'
] as const satisfies (keyof EventRow)[]
const isChange: Filter = { field: 'details', operator: 'null', value: true }
const ofRecord = (subject_type: string, subject_id: number): ListQuery => ({
  filters: [...equal({ subject_type, subject_id }), isChange],
  fields
})

/**
 * Records what is no change of a record, about a user unless `subject` says otherwise; in the
 * transaction of `ctx`, if there is one. `details` must have nothing secret; the client is added.
 */
export async function recordAccess(
  ctx: Context,
  type: AccessType,
  details: object = {},
  subject: { type: string; id: number } = { type: 'user', id: ctx.user_id! }
): Promise<void> {
  const all = { client: ctx.origin?.client ?? null, ...details }
  await ctx.write(
    [],
    sql`select from record_access(${organization}, ${type}, ${subject.type}, ${subject.id},
      ${actor}, ${sql.placeholder('origin')}::text::jsonb, ${JSON.stringify(all)}::text::jsonb)`
  )
}

/** Records an export: of what, and by which parameters. Their values may be anything. */
export async function recordExport(
  ctx: Context,
  path: string,
  format: string,
  query: object
): Promise<void> {
  await recordAccess(ctx, 'export.started', { path, format, parameters: Object.keys(query) })
}

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
export const withIsoInstants = <E extends Pick<EventRow, 'before' | 'after'>>(event: E): E => ({
  ...event,
  before: event.before && isoInstantsIn(event.before),
  after: event.after && isoInstantsIn(event.after)
})

/** What columns with an instant are named like. */
const instantName = /_(at|until|since)$/

/** The same for one record. */
export const isoInstantsIn = (row: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      instantName.test(name) && typeof value === 'string' ? isoInstant(value) : value
    ])
  )

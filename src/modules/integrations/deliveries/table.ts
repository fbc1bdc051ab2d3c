import { identifier, instant } from '../../../core/db/columns.ts'
import {
  boolean,
  foreignKey,
  index,
  integer,
  pgTable,
  primaryKey,
  sql,
  text,
  uniqueIndex
} from '../../../core/db/drizzle.ts'
import { defineExpiry } from '../../../core/db/expiry.ts'
import { webhooks } from '../webhooks/table.ts'

export const deliveryStatuses = ['pending', 'succeeded', 'failed', 'cancelled'] as const
export type DeliveryStatus = (typeof deliveryStatuses)[number]

/**
 * Messages to webhooks: an event each or, without one, a test. `due_at` is when one is sent next;
 * it is null when it has ended, and while another one about the same record has to be sent before:
 * the unique index keeps the order of each record. `leased_until` is while it is being sent, by
 * a process that may die; it is then due again. `add_deliveries()` and `end_attempt()` keep this.
 */
export const deliveries = pgTable(
  'deliveries',
  {
    id: identifier().notNull().generatedAlwaysAsIdentity(),
    organization_id: identifier().notNull(),
    webhook_id: identifier().notNull(),
    event_id: identifier(),
    position: identifier(),
    // `text`: compared as it is, unlike names (see `keyOf`)
    type: text().notNull(),
    subject_type: text().notNull(),
    subject_id: identifier().notNull(),
    is_replay: boolean().notNull().default(false),
    status: text().$type<DeliveryStatus>().notNull().default('pending'),
    payload: text().notNull(),
    attempts: integer().notNull().default(0),
    due_at: instant(),
    leased_until: instant(),
    host: text(),
    last_attempt_at: instant(),
    duration_ms: integer(),
    response_status: integer(),
    response_body: text(),
    error: text(),
    created_at: instant().notNull().defaultNow(),
    ended_at: instant()
  },
  t => [
    primaryKey({ name: 'deliveries_key', columns: [t.organization_id, t.id] }),
    foreignKey({
      name: 'deliveries_webhook_id_reference',
      columns: [t.organization_id, t.webhook_id],
      foreignColumns: [webhooks.organization_id, webhooks.id]
    }),
    index('idx_deliveries_webhook').on(t.organization_id, t.webhook_id, t.id),
    index('idx_deliveries_status').on(t.organization_id, t.webhook_id, t.status, t.id),
    index('idx_deliveries_waiting')
      .on(t.organization_id, t.webhook_id, t.is_replay, t.subject_type, t.subject_id, t.id)
      .where(sql`status = 'pending'`),
    index('idx_deliveries_retried')
      .on(t.organization_id, t.webhook_id, t.id)
      .where(sql`status = 'pending' and attempts > 0`),
    uniqueIndex('deliveries_turn_unique')
      .on(t.organization_id, t.webhook_id, t.is_replay, t.subject_type, t.subject_id)
      .where(sql`due_at is not null`),
    index('idx_deliveries_due')
      .on(t.organization_id, t.webhook_id, t.due_at)
      .where(sql`due_at is not null`),
    index('idx_deliveries_leased')
      .on(t.host)
      .where(sql`leased_until is not null`),
    index('idx_deliveries_ended_at')
      .on(t.ended_at)
      .where(sql`ended_at is not null`)
  ]
)
defineExpiry(deliveries, sql`ended_at < now() - interval '30 days'`)

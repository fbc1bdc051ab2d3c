import {
  identifier,
  instant,
  listIndexes,
  record,
  recordKeys,
  reference
} from '../../../core/db/columns.ts'
import { boolean, index, integer, pgTable, sql, text, varchar } from '../../../core/db/drizzle.ts'
import { users } from '../../identity/users/table.ts'

export const filterable = ['author_id', 'is_active', 'created_at', 'updated_at'] as const

/** What is sent: whole events, or only what they are about. */
export const formats = ['full', 'thin'] as const

/**
 * Why a webhook was paused: its receiver responded with 410, it failed for too long, or its author
 * is disabled or may no longer read what it is about.
 */
export const pauseReasons = ['gone', 'failing', 'author'] as const
export type PauseReason = (typeof pauseReasons)[number]

/**
 * Servers that events are sent to. `cursor` is the place in the feed up to which there are
 * `deliveries`; it, `failures` and `failing_since` are no change of a webhook.
 */
export const webhooks = pgTable(
  'webhooks',
  {
    ...record(),
    url: varchar({ length: 2000 }).notNull(),
    /** Its host, to which only so many requests are made at a time. */
    host: varchar({ length: 255 }).notNull(),
    description: varchar({ length: 500 }),
    // as the feed takes them
    types: varchar({ length: 2000 }),
    filter: varchar({ length: 4000 }),
    filter_on: varchar({ length: 10, enum: ['change', 'enter', 'leave'] })
      .notNull()
      .default('change'),
    fields: text().array(),
    format: varchar({ length: 10, enum: formats }).notNull().default('full'),
    /** Whose rights decide what is sent: the user who created it or changed it last. */
    author_id: identifier().notNull(),
    is_active: boolean().notNull().default(true),
    paused_at: instant(),
    paused_reason: varchar({ length: 10, enum: pauseReasons }),
    cursor: varchar({ length: 40 }).notNull().default('0-'),
    /** Attempts that failed since the last one that succeeded, and when the first of them did. */
    failures: integer().notNull().default(0),
    failing_since: instant(),
    /** See `secret.ts`. */
    encrypted_secret: text().notNull(),
    previous_secret: text(),
    previous_until: instant()
  },
  t => [
    ...recordKeys('webhooks', t),
    ...listIndexes('webhooks', t, filterable),
    reference('webhooks', t, 'author_id', users),
    index('idx_webhooks_author').on(t.organization_id, t.author_id),
    index('idx_webhooks_active')
      .on(t.organization_id, t.id)
      .where(sql`is_active and deleted_at is null`)
  ]
)

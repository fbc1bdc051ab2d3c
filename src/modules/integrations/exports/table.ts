import { identifier, instant } from '../../../core/db/columns.ts'
import {
  boolean,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  sql,
  text,
  uniqueIndex
} from '../../../core/db/drizzle.ts'
import { defineExpiry } from '../../../core/db/expiry.ts'

/** What someone could export of a type: the reach, and the fields that were hidden. */
export interface Rights {
  type: string
  reach: 'own' | 'team' | 'all'
  hidden_fields: string[]
}

/**
 * What jobs of the kind `export` do, by the IDs of these, and the files that they made; a file is
 * there as long as its row. While one runs, it has a lease, which its process renews.
 */
export const exports = pgTable(
  'exports',
  {
    organization_id: identifier().notNull(),
    id: identifier().notNull(),
    types: text().array().notNull(),
    filter: text(),
    format: text().$type<'csv' | 'ndjson'>().notNull(),
    with_cursor: boolean().notNull(),
    created_by: identifier(),
    created_at: instant().notNull().defaultNow(),
    expires_at: instant()
      .notNull()
      .default(sql`now() + interval '7 days'`),
    /** Whether it is still to be done. */
    is_open: boolean().notNull().default(true),
    attempts: integer().notNull().default(0),
    lease: text(),
    leased_until: instant(),
    /** The name of the file; null until it is complete, as is what is about it. */
    file: text(),
    cursor: text(),
    rows: integer(),
    bytes: identifier(),
    sha256: text(),
    rights: jsonb().$type<Rights[]>()
  },
  t => [
    primaryKey({ name: 'exports_key', columns: [t.organization_id, t.id] }),
    index('idx_exports_open')
      .on(t.id)
      .where(sql`is_open`),
    index('idx_exports_expires_at').on(t.expires_at),
    index('idx_exports_file')
      .on(t.file)
      .where(sql`file is not null`),
    // one of an organization at a time, whichever process runs it
    uniqueIndex('exports_running_unique')
      .on(t.organization_id)
      .where(sql`lease is not null`)
  ]
)
defineExpiry(exports, sql`expires_at < now() and not is_open`)

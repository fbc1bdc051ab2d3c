import { identifier, instant, maxTimeZone } from '../../../core/db/columns.ts'
import { integer, pgTable, varchar } from '../../../core/db/drizzle.ts'

/** The days on which a week can start. */
export const weekdays = ['monday', 'saturday', 'sunday'] as const

/** The longest slug; as a label of a domain. */
export const maxSlug = 63

/**
 * The tenants. Not a record: an organization belongs to no other. `slug` names it for people who
 * log in, and never changes; the database derives it from the first name (by the trigger
 * `name_organization`).
 */
export const organizations = pgTable('organizations', {
  id: identifier().primaryKey().generatedAlwaysAsIdentity(),
  name: varchar({ length: 200 }).notNull(),
  slug: varchar({ length: maxSlug }).notNull().default('').unique('organizations_slug_unique'),
  /** A name of the IANA database: where days and months begin. */
  time_zone: varchar({ length: maxTimeZone }).notNull().default('UTC'),
  /** BCP 47. */
  locale: varchar({ length: 35 }).notNull().default('en-US'),
  /** ISO 4217. */
  currency: varchar({ length: 3 }).notNull().default('USD'),
  week_starts_on: varchar({ length: 10, enum: weekdays }).notNull().default('monday'),
  version: integer().notNull().default(1),
  created_at: instant().notNull().defaultNow(),
  updated_at: instant().notNull().defaultNow()
})

import { identifier, instant, maxTimeZone } from '../../../core/db/columns.ts'
import { check, integer, pgTable, sql, varchar } from '../../../core/db/drizzle.ts'

/** The days on which a week can start. */
export const weekdays = ['monday', 'saturday', 'sunday'] as const

/** Whether the users of an organization have a second factor. */
export const secondFactorPolicies = ['optional', 'required'] as const

/** The longest time that a session can last, in days. */
export const maxSessionDays = 365

/** The longest slug; as a label of a domain. */
export const maxSlug = 63

/**
 * The tenants. Not a record: an organization belongs to no other. `slug` names it for people who
 * log in, and never changes; the database derives it from the first name (by the trigger
 * `name_organization`).
 */
export const organizations = pgTable(
  'organizations',
  {
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
    /** Days after which a session ends without a refresh, and after its login in any case. */
    session_idle_days: integer().notNull().default(30),
    session_absolute_days: integer().notNull().default(90),
    second_factor: varchar({ length: 10, enum: secondFactorPolicies })
      .notNull()
      .default('optional'),
    version: integer().notNull().default(1),
    created_at: instant().notNull().defaultNow(),
    updated_at: instant().notNull().defaultNow()
  },
  t => [
    check(
      'organizations_session_idle_days_check',
      sql`0 < ${t.session_idle_days} and ${t.session_idle_days} <= ${t.session_absolute_days}`
    )
  ]
)

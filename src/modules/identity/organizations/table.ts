import { identifier, instant } from '../../../core/db/columns.ts'
import { pgTable, varchar } from '../../../core/db/drizzle.ts'

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
  created_at: instant().notNull().defaultNow()
})

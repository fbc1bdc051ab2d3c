import { identifier, instant } from '../../../core/db/columns.ts'
import { pgTable, varchar } from '../../../core/db/drizzle.ts'

/** The tenants. Not a record: an organization belongs to no other. */
export const organizations = pgTable('organizations', {
  id: identifier().primaryKey().generatedAlwaysAsIdentity(),
  name: varchar({ length: 200 }).notNull(),
  created_at: instant().notNull().defaultNow()
})

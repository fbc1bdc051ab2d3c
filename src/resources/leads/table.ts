import { identifier, listIndexes, record, recordKeys, reference } from '../../kit/columns.ts'
import { integer, pgTable, varchar } from '../../kit/drizzle.ts'
import { contacts } from '../contacts/table.ts'
import { users } from '../users/table.ts'

export const statuses = ['new', 'contacted', 'qualified', 'unqualified', 'converted'] as const

export const leads = pgTable('leads', {
  ...record(),
  contact_id: identifier(),
  source: varchar({ length: 50 }),
  status: varchar({ length: 20, enum: statuses }).notNull().default('new'),
  score: integer().notNull().default(0),
  assigned_to: identifier()
}, t => [
  ...recordKeys('leads', t),
  ...listIndexes('leads', t, ['contact_id', 'source', 'status', 'score', 'assigned_to', 'created_at', 'updated_at']),
  reference('leads', t, 'contact_id', contacts),
  reference('leads', t, 'assigned_to', users)
])

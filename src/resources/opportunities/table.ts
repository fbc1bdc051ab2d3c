import { identifier, listIndexes, money, record, recordKeys, reference, searchText } from '../../kit/columns.ts'
import { check, date, integer, pgTable, sql, varchar } from '../../kit/drizzle.ts'
import { accounts } from '../accounts/table.ts'
import { leads } from '../leads/table.ts'
import { users } from '../users/table.ts'

export const stages = ['prospecting', 'qualification', 'proposal', 'negotiation', 'won', 'lost'] as const
export const searchable = ['title'] as const

export const opportunities = pgTable('opportunities', {
  ...record(),
  lead_id: identifier(),
  account_id: identifier(),
  title: varchar({ length: 200 }).notNull(),
  amount: money(10),
  stage: varchar({ length: 50, enum: stages }).notNull().default('prospecting'),
  probability: integer().notNull().default(0),
  close_date: date({ mode: 'string' }),
  assigned_to: identifier(),
  search_text: searchText(searchable)
}, t => [
  ...recordKeys('opportunities', t),
  ...listIndexes('opportunities', t, ['lead_id', 'account_id', 'title', 'amount', 'stage', 'probability', 'close_date',
    'assigned_to', 'created_at', 'updated_at']),
  reference('opportunities', t, 'lead_id', leads),
  reference('opportunities', t, 'account_id', accounts),
  reference('opportunities', t, 'assigned_to', users),
  check('opportunities_amount_check', sql`${t.amount} >= 0`),
  check('opportunities_probability_check', sql`${t.probability} between 0 and 100`)
])

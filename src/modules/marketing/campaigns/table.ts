import {
  externalIds,
  identifier,
  idList,
  idListIndex,
  listIndexes,
  money,
  record,
  recordKeys,
  reference,
  searchText
} from '../../../core/db/columns.ts'
import { check, date, pgTable, sql, text, varchar } from '../../../core/db/drizzle.ts'
import { users } from '../../identity/users/table.ts'

export const types = ['email', 'event', 'webinar', 'advertisement', 'telephone', 'other'] as const
export const statuses = ['planned', 'active', 'completed', 'cancelled'] as const
export const searchable = ['name'] as const

export const filterable = [
  'name',
  'type',
  'status',
  'start_date',
  'end_date',
  'budget',
  'assigned_to',
  'created_by',
  'created_at',
  'updated_at'
] as const

export const campaigns = pgTable(
  'campaigns',
  {
    ...record(),
    name: varchar({ length: 200 }).notNull(),
    type: varchar({ length: 20, enum: types }).notNull().default('email'),
    status: varchar({ length: 20, enum: statuses }).notNull().default('planned'),
    start_date: date({ mode: 'string' }),
    end_date: date({ mode: 'string' }),
    budget: money(12),
    description: text(),
    assigned_to: identifier(),
    tags: idList(),
    external_ids: externalIds(),
    search_text: searchText(searchable)
  },
  t => [
    ...recordKeys('campaigns', t),
    idListIndex('campaigns', t, 'tags'),
    ...listIndexes('campaigns', t, filterable),
    reference('campaigns', t, 'assigned_to', users),
    check('campaigns_budget_check', sql`${t.budget} >= 0`),
    check('campaigns_end_date_check', sql`${t.end_date} >= ${t.start_date}`)
  ]
)

import type { SQL, SQLWrapper } from 'drizzle-orm'
import {
  externalIds,
  identifier,
  idList,
  idListIndex,
  keyIndex,
  listIndexes,
  money,
  record,
  recordKeys,
  reference,
  searchText
} from '../../../core/db/columns.ts'
import { check, integer, pgTable, sql, varchar } from '../../../core/db/drizzle.ts'
import { users } from '../../identity/users/table.ts'

export const types = ['customer', 'prospect', 'partner', 'vendor'] as const
export const statuses = ['active', 'inactive'] as const
export const searchable = ['name', 'website', 'email', 'phone', 'city'] as const

export const filterable = [
  'name',
  'industry',
  'city',
  'state',
  'country',
  'status',
  'type',
  'annual_revenue',
  'employee_count',
  'parent_account_id',
  'assigned_to',
  'created_by',
  'created_at',
  'updated_at'
] as const

/** Keys of accounts that are probably the same, of columns or values. */
export const accountKeys = {
  name: (name: SQLWrapper): SQL => sql`match_key(${name})`,
  website: (website: SQLWrapper): SQL => sql`website_host(${website})`
}

export const accounts = pgTable(
  'accounts',
  {
    ...record(),
    name: varchar({ length: 200 }).notNull(),
    industry: varchar({ length: 100 }),
    website: varchar({ length: 255 }),
    phone: varchar({ length: 20 }),
    email: varchar({ length: 120 }),
    address: varchar({ length: 255 }),
    city: varchar({ length: 100 }),
    state: varchar({ length: 100 }),
    country: varchar({ length: 100 }),
    postal_code: varchar({ length: 20 }),
    annual_revenue: money(15),
    employee_count: integer(),
    status: varchar({ length: 20, enum: statuses }).notNull().default('active'),
    type: varchar({ length: 20, enum: types }).notNull().default('prospect'),
    parent_account_id: identifier(),
    assigned_to: identifier(),
    tags: idList(),
    external_ids: externalIds(),
    search_text: searchText(searchable)
  },
  t => [
    ...recordKeys('accounts', t),
    idListIndex('accounts', t, 'tags'),
    ...listIndexes('accounts', t, filterable),
    keyIndex('accounts', t, 'name', accountKeys.name(t.name)),
    keyIndex('accounts', t, 'website', accountKeys.website(t.website)),
    reference('accounts', t, 'parent_account_id', t),
    reference('accounts', t, 'assigned_to', users),
    check('accounts_annual_revenue_check', sql`${t.annual_revenue} >= 0`),
    check('accounts_employee_count_check', sql`${t.employee_count} >= 0`)
  ]
)

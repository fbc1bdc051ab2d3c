import { sql } from '../../../core/db/drizzle.ts'
import { Id } from '../../../core/http/schema.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { tags } from '../tags/table.ts'
import { Account, AccountChanges, NewAccount } from './schema.ts'
import { accounts, filterable, searchable } from './table.ts'

export const accountResource = defineResource({
  name: 'account',
  plural: 'accounts',
  description: 'Companies that the organization deals with.',
  table: accounts,
  schema: Account,
  create: NewAccount,
  update: AccountChanges,
  filters: ['id', ...filterable, 'tags'],
  sorts: ['id', 'name', 'annual_revenue', 'employee_count', 'created_at', 'updated_at'],
  search: searchable,
  virtualFilters: {
    territory_id: {
      // the service replaces it by the filters of the territory
      schema: Id({ description: 'In this territory.' })
    }
  },
  include: {
    parent_account: 'parent_account_id',
    assigned_to: 'assigned_to',
    tags: { ids: 'tags', of: tags }
  },
  title: sql`${accounts.name}`
})

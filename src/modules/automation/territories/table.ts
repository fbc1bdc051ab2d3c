import { identifier, listIndexes, record, recordKeys, reference } from '../../../core/db/columns.ts'
import { pgTable, sql, uniqueIndex, varchar } from '../../../core/db/drizzle.ts'
import { teams } from '../teams/table.ts'

export const filterable = ['name', 'team_id', 'created_at', 'updated_at'] as const

/** `filter` says which accounts belong to it, as a query string of their list. */
export const territories = pgTable(
  'territories',
  {
    ...record(),
    name: varchar({ length: 100 }).notNull(),
    filter: varchar({ length: 1000 }).notNull(),
    team_id: identifier()
  },
  t => [
    ...recordKeys('territories', t),
    ...listIndexes('territories', t, filterable),
    uniqueIndex('territories_name_unique')
      .on(t.organization_id, sql`lower(${t.name})`)
      .where(sql`${t.deleted_at} is null`),
    reference('territories', t, 'team_id', teams)
  ]
)

import { externalIds, listIndexes, record, recordKeys } from '../../../core/db/columns.ts'
import { pgTable, sql, uniqueIndex, varchar } from '../../../core/db/drizzle.ts'

export const filterable = ['name', 'created_at', 'updated_at'] as const

export const tags = pgTable(
  'tags',
  {
    ...record(),
    name: varchar({ length: 50 }).notNull(),
    color: varchar({ length: 7 }),
    external_ids: externalIds()
  },
  t => [
    ...recordKeys('tags', t),
    ...listIndexes('tags', t, filterable),
    uniqueIndex('tags_name_unique')
      .on(t.organization_id, sql`lower(${t.name})`)
      .where(sql`${t.deleted_at} is null`)
  ]
)

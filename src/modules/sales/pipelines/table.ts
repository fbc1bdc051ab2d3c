import { listIndexes, record, recordKeys } from '../../../core/db/columns.ts'
import { boolean, pgTable, sql, uniqueIndex, varchar } from '../../../core/db/drizzle.ts'

/** A sales process: the stages that opportunities go through. One is the default. */
export const pipelines = pgTable(
  'pipelines',
  {
    ...record(),
    name: varchar({ length: 100 }).notNull(),
    is_default: boolean().notNull().default(false)
  },
  t => [
    ...recordKeys('pipelines', t),
    ...listIndexes('pipelines', t, ['name', 'created_at', 'updated_at']),
    uniqueIndex('pipelines_name_unique')
      .on(t.organization_id, sql`lower(${t.name})`)
      .where(sql`${t.deleted_at} is null`),
    uniqueIndex('pipelines_is_default_unique')
      .on(t.organization_id)
      .where(sql`${t.is_default} and ${t.deleted_at} is null`)
  ]
)

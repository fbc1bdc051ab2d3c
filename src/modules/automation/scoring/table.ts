import { listIndexes, record, recordKeys } from '../../../core/db/columns.ts'
import { jsonb, pgTable, sql, uniqueIndex, varchar } from '../../../core/db/drizzle.ts'

export const statuses = ['draft', 'active'] as const

/** One condition of a list (`field[operator]=value`, as in its query string) and what it is worth. */
export interface Rule {
  field: string
  operator: string
  value: string
  points: number
}
/** From which score on a lead is graded A, B or C; below it is a D. */
export interface Bands {
  A: number
  B: number
  C: number
}

/** How leads are scored. One of them is active, or none: then scores are given by hand. */
export const scoringModels = pgTable(
  'scoring_models',
  {
    ...record(),
    name: varchar({ length: 100 }).notNull(),
    status: varchar({ length: 10, enum: statuses }).notNull().default('draft'),
    rules: jsonb().$type<Rule[]>().notNull().default([]),
    bands: jsonb().$type<Bands>().notNull().default({ A: 80, B: 60, C: 40 })
  },
  t => [
    ...recordKeys('scoring_models', t),
    ...listIndexes('scoring_models', t, ['name', 'created_at', 'updated_at']),
    uniqueIndex('scoring_models_status_unique')
      .on(t.organization_id)
      .where(sql`${t.status} = 'active' and ${t.deleted_at} is null`)
  ]
)

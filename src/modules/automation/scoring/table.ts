import { listIndexes, record, recordKeys } from '../../../core/db/columns.ts'
import { jsonb, pgTable, sql, uniqueIndex, varchar } from '../../../core/db/drizzle.ts'

export const statuses = ['draft', 'active'] as const

/** One condition of a list (`field[operator]=value`, as in its query string) and its points. */
export interface ScoringRule {
  field: string
  operator: string
  value: string
  points: number
}
/** The lowest scores that are graded A, B and C; lower ones are graded D. */
export interface Bands {
  A: number
  B: number
  C: number
}

/** How leads are scored. At most one is active; without it, scores are set manually. */
export const scoringModels = pgTable(
  'scoring_models',
  {
    ...record(),
    name: varchar({ length: 100 }).notNull(),
    status: varchar({ length: 10, enum: statuses }).notNull().default('draft'),
    rules: jsonb().$type<ScoringRule[]>().notNull().default([]),
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

import { identifier, listIndexes, record, recordKeys, reference } from '../../../core/db/columns.ts'
import { check, integer, pgTable, sql, text, unique, varchar } from '../../../core/db/drizzle.ts'
import { requirable, statuses } from '../opportunities/table.ts'
import { pipelines } from '../pipelines/table.ts'

/** `key` names the stage in opportunities and never changes. `next_stages`: the keys one may move to from here; null: all. */
export const stages = pgTable(
  'stages',
  {
    ...record(),
    pipeline_id: identifier().notNull(),
    key: varchar({ length: 50 }).notNull(),
    name: varchar({ length: 100 }).notNull(),
    position: integer().notNull().default(0),
    probability: integer().notNull(),
    kind: varchar({ length: 10, enum: statuses }).notNull().default('open'),
    required_fields: text({ enum: requirable }).array().notNull().default([]),
    next_stages: text().array()
  },
  t => [
    ...recordKeys('stages', t),
    ...listIndexes('stages', t, ['pipeline_id', 'position', 'created_at', 'updated_at']),
    // of deleted ones as well: opportunities point at it, and a stage that was deleted is restored and not made anew
    unique('stages_key_unique').on(t.organization_id, t.pipeline_id, t.key),
    reference('stages', t, 'pipeline_id', pipelines),
    check(
      'stages_probability_check',
      sql`${t.probability} between 0 and 100 and (${t.kind} = 'open' or ${t.probability} = case ${t.kind} when 'won' then 100 else 0 end)`
    )
  ]
)

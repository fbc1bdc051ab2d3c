import { identifier, listIndexes, record, recordKeys, reference } from '../../../core/db/columns.ts'
import { check, integer, pgTable, sql, text, unique, varchar } from '../../../core/db/drizzle.ts'
import { requirable, statuses } from '../opportunities/table.ts'
import { pipelines } from '../pipelines/table.ts'

/** As in drizzle/0003. */
const probabilityCheck =
  `"stages"."probability" between 0 and 100 and ("stages"."kind" = 'open' or ` +
  `"stages"."probability" = case "stages"."kind" when 'won' then 100 else 0 end)`

/**
 * `key` identifies the stage in opportunities and never changes. `next_stages`: keys of the stages
 * that can follow; null: all.
 */
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
    // deleted ones included: opportunities refer to them, and a deleted stage can be restored
    unique('stages_key_unique').on(t.organization_id, t.pipeline_id, t.key),
    reference('stages', t, 'pipeline_id', pipelines),
    check('stages_probability_check', sql.raw(probabilityCheck))
  ]
)

import { identifier, instant } from '../../../core/db/columns.ts'
import { bigint, index, pgTable, primaryKey, varchar } from '../../../core/db/drizzle.ts'

/**
 * The history of each lead's status and of each opportunity's stage: a row for each transition,
 * written by the trigger of the table (drizzle/0004) in the transaction of the change. `seconds`
 * were spent in `from_stage`; null for the first row, which is the beginning.
 */
export const transitions = pgTable(
  'moves',
  {
    id: identifier().notNull().generatedAlwaysAsIdentity(),
    organization_id: identifier().notNull(),
    subject_type: varchar({ length: 20, enum: ['lead', 'opportunity'] }).notNull(),
    subject_id: identifier().notNull(),
    pipeline_id: identifier(),
    from_stage: varchar({ length: 50 }),
    to_stage: varchar({ length: 50 }).notNull(),
    moved_at: instant().notNull(),
    actor_id: identifier(),
    seconds: bigint({ mode: 'number' })
  },
  t => [
    primaryKey({ name: 'moves_key', columns: [t.organization_id, t.id] }),
    index('idx_moves_subject').on(t.organization_id, t.subject_type, t.subject_id, t.id),
    index('idx_moves_to').on(t.organization_id, t.subject_type, t.to_stage, t.subject_id),
    index('idx_moves_from').on(
      t.organization_id,
      t.subject_type,
      t.from_stage,
      t.seconds,
      t.subject_id
    )
  ]
)

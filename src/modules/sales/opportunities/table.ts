import {
  identifier,
  instant,
  listIndexes,
  money,
  movedAt,
  record,
  recordKeys,
  reference,
  searchText,
  tags
} from '../../../core/db/columns.ts'
import { check, date, index, integer, pgTable, sql, varchar } from '../../../core/db/drizzle.ts'
import { accounts } from '../../crm/accounts/table.ts'
import { leads } from '../../crm/leads/table.ts'
import { pipelines } from '../pipelines/table.ts'
import { users } from '../../identity/users/table.ts'

/** What a stage means: still open, or closed one way or the other. */
export const statuses = ['open', 'won', 'lost'] as const
export const searchable = ['title'] as const
/** What a stage can ask for. */
export const requirable = ['lead_id', 'account_id', 'amount', 'close_date', 'assigned_to'] as const

/** `stage` is the key of a stage of the pipeline (a foreign key of the migration: drizzle/0004), `status` what that stage means. */
export const opportunities = pgTable(
  'opportunities',
  {
    ...record(),
    lead_id: identifier(),
    account_id: identifier(),
    title: varchar({ length: 200 }).notNull(),
    amount: money(10),
    pipeline_id: identifier().notNull(),
    stage: varchar({ length: 50 }).notNull().default('prospecting'),
    status: varchar({ length: 10, enum: statuses }).notNull().default('open'),
    probability: integer().notNull().default(0),
    close_date: date({ mode: 'string' }),
    assigned_to: identifier(),
    lost_reason: varchar({ length: 500 }),
    moved_at: movedAt(),
    closed_at: instant(),
    tags: tags(),
    search_text: searchText(searchable)
  },
  t => [
    ...recordKeys('opportunities', t),
    ...listIndexes('opportunities', t, [
      'account_id',
      'title',
      'amount',
      'stage',
      'status',
      'probability',
      'close_date',
      'assigned_to',
      'moved_at',
      'closed_at',
      'created_at',
      'updated_at'
    ]),
    // what the reports count and add up, without a look at the rows
    index('idx_opportunities_lead_id')
      .on(t.organization_id, t.lead_id, t.id, t.status, t.amount)
      .where(sql`${t.deleted_at} is null`),
    index('idx_opportunities_pipeline')
      .on(t.organization_id, t.pipeline_id, t.stage, t.assigned_to, t.amount, t.probability, t.id)
      .where(sql`${t.deleted_at} is null`),
    index('idx_opportunities_forecast')
      .on(t.organization_id, t.close_date, t.status, t.amount, t.probability)
      .where(sql`${t.deleted_at} is null`),
    reference('opportunities', t, 'lead_id', leads),
    reference('opportunities', t, 'account_id', accounts),
    reference('opportunities', t, 'pipeline_id', pipelines),
    reference('opportunities', t, 'assigned_to', users),
    check('opportunities_amount_check', sql`${t.amount} >= 0`),
    check('opportunities_probability_check', sql`${t.probability} between 0 and 100`)
  ]
)

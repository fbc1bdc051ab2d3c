import {
  externalIds,
  identifier,
  idList,
  idListIndex,
  instant,
  listIndexes,
  money,
  movedAt,
  record,
  recordKeys,
  reference,
  searchText
} from '../../../core/db/columns.ts'
import { check, date, index, integer, pgTable, sql, varchar } from '../../../core/db/drizzle.ts'
import { accounts } from '../../crm/accounts/table.ts'
import { leads } from '../../crm/leads/table.ts'
import { pipelines } from '../pipelines/table.ts'
import { users } from '../../identity/users/table.ts'

/** What a stage means. */
export const statuses = ['open', 'won', 'lost'] as const
export const searchable = ['title'] as const
/** Fields that a stage can require. */
export const requirable = ['lead_id', 'account_id', 'amount', 'close_date', 'assigned_to'] as const

const indexed = [
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
  'created_by',
  'created_at',
  'updated_at'
] as const
/** `lead_id` and `pipeline_id` have indexes of their own, which reports use too. */
export const filterable = [...indexed, 'lead_id', 'pipeline_id'] as const

/**
 * `stage` is the key of a stage of the pipeline (by a foreign key in drizzle/0004), `status` what
 * that stage means, `stage_position` its position, to sort by (both by the trigger `follow_stage`;
 * by `sort_opportunities` and a job when stages move).
 */
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
    stage_position: integer().notNull().default(0),
    status: varchar({ length: 10, enum: statuses }).notNull().default('open'),
    probability: integer().notNull().default(0),
    close_date: date({ mode: 'string' }),
    assigned_to: identifier(),
    lost_reason: varchar({ length: 500 }),
    moved_at: movedAt(),
    closed_at: instant(),
    tags: idList(),
    external_ids: externalIds(),
    search_text: searchText(searchable)
  },
  t => [
    ...recordKeys('opportunities', t),
    idListIndex('opportunities', t, 'tags'),
    ...listIndexes('opportunities', t, [...indexed, 'stage_position']),
    // what the reports count and add up, by index-only scans
    index('idx_opportunities_lead_id')
      .on(t.organization_id, t.lead_id, t.id, t.status, t.amount)
      .where(sql`${t.deleted_at} is null`),
    index('idx_opportunities_pipeline')
      .on(t.organization_id, t.pipeline_id, t.stage, t.assigned_to, t.amount, t.probability, t.id)
      .where(sql`${t.deleted_at} is null`),
    index('idx_opportunities_months')
      .on(t.organization_id, t.close_date, t.closed_at, t.status, t.amount, t.probability)
      .where(sql`${t.deleted_at} is null`),
    reference('opportunities', t, 'lead_id', leads),
    reference('opportunities', t, 'account_id', accounts),
    reference('opportunities', t, 'pipeline_id', pipelines),
    reference('opportunities', t, 'assigned_to', users),
    check('opportunities_amount_check', sql`${t.amount} >= 0`),
    check('opportunities_probability_check', sql`${t.probability} between 0 and 100`),
    check('opportunities_closed_at_check', sql`(${t.closed_at} is null) = (${t.status} = 'open')`)
  ]
)

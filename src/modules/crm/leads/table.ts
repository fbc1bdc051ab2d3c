import {
  externalIds,
  identifier,
  idList,
  idListIndex,
  instant,
  keyOf,
  listIndexes,
  movedAt,
  record,
  recordKeys,
  reference
} from '../../../core/db/columns.ts'
import { index, integer, pgTable, sql, varchar } from '../../../core/db/drizzle.ts'
import { contacts } from '../contacts/table.ts'
import { users } from '../../identity/users/table.ts'

export const statuses = ['new', 'contacted', 'qualified', 'unqualified', 'converted'] as const
export const outcomes = ['qualified', 'unqualified'] as const
export const grades = ['A', 'B', 'C', 'D'] as const

const indexed = [
  'status',
  'score',
  'grade',
  'assigned_to',
  'moved_at',
  'created_by',
  'created_at',
  'updated_at'
] as const
/** `contact_id` and `source` have indexes of their own, with the deleted leads. */
export const filterable = ['contact_id', 'source', ...indexed] as const

export const leads = pgTable(
  'leads',
  {
    ...record(),
    contact_id: identifier(),
    source: varchar({ length: 50 }),
    status: varchar({ length: 20, enum: statuses }).notNull().default('new'),
    score: integer().notNull().default(0),
    grade: varchar({ length: 1, enum: grades }),
    assigned_to: identifier(),
    unqualified_reason: varchar({ length: 500 }),
    moved_at: movedAt(),
    qualified_at: instant(),
    converted_at: instant(),
    tags: idList(),
    external_ids: externalIds()
  },
  t => [
    ...recordKeys('leads', t),
    idListIndex('leads', t, 'tags'),
    ...listIndexes('leads', t, indexed),
    // an opportunity still has the contact and the source of a lead that was deleted
    index('idx_leads_contact_id_all').on(t.organization_id, t.contact_id, t.id),
    index('idx_leads_source_all').on(t.organization_id, keyOf(t.source), t.id),
    // what the reports count, by an index-only scan
    index('idx_leads_report')
      .on(t.organization_id, t.source, t.status, t.id)
      .where(sql`${t.deleted_at} is null`),
    reference('leads', t, 'contact_id', contacts),
    reference('leads', t, 'assigned_to', users)
  ]
)

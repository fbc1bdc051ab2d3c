import { identifier, listIndexes, record, recordKeys, reference } from '../../../core/db/columns.ts'
import { jsonb, pgTable, sql, uniqueIndex } from '../../../core/db/drizzle.ts'
import { accounts } from '../../crm/accounts/table.ts'
import { contacts } from '../../crm/contacts/table.ts'
import { leads, type statuses } from '../../crm/leads/table.ts'
import { opportunities } from '../opportunities/table.ts'

/** What a lead is converted into, in order of creation: each may refer to those before it. */
export const partNames = ['account', 'contact', 'opportunity'] as const
export type PartName = (typeof partNames)[number]

/** What a conversion did to a record: created it, or filled these fields; and its version then. */
export interface Trace {
  created: boolean
  filled: Record<string, unknown>
  version: number
}

interface LeadBefore {
  status: (typeof statuses)[number]
  contact_id: number | null
  unqualified_reason: string | null
}

/** What a lead was converted into, and what is needed to undo that. Deleted by the undo. */
export const conversions = pgTable(
  'conversions',
  {
    ...record(),
    lead_id: identifier().notNull(),
    account_id: identifier(),
    contact_id: identifier(),
    opportunity_id: identifier(),
    lead_before: jsonb().$type<LeadBefore>().notNull(),
    traces: jsonb().$type<Partial<Record<PartName, Trace>>>().notNull()
  },
  t => [
    ...recordKeys('conversions', t),
    ...listIndexes('conversions', t, ['account_id', 'contact_id', 'opportunity_id']),
    uniqueIndex('conversions_lead_id_unique')
      .on(t.organization_id, t.lead_id)
      .where(sql`${t.deleted_at} is null`),
    reference('conversions', t, 'lead_id', leads),
    reference('conversions', t, 'account_id', accounts),
    reference('conversions', t, 'contact_id', contacts),
    reference('conversions', t, 'opportunity_id', opportunities)
  ]
)

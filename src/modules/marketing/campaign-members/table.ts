import {
  identifier,
  instant,
  listIndexes,
  record,
  recordKeys,
  reference
} from '../../../core/db/columns.ts'
import { check, index, pgTable, sql, uniqueIndex, varchar } from '../../../core/db/drizzle.ts'
import { campaigns } from '../campaigns/table.ts'
import { contacts } from '../../crm/contacts/table.ts'
import { leads } from '../../crm/leads/table.ts'

export const statuses = ['added', 'sent', 'responded', 'declined'] as const

/** A contact or lead that a campaign targets, at most once per campaign. */
export const campaignMembers = pgTable(
  'campaign_members',
  {
    ...record(),
    campaign_id: identifier().notNull(),
    contact_id: identifier(),
    lead_id: identifier(),
    status: varchar({ length: 20, enum: statuses }).notNull().default('added'),
    responded_at: instant()
  },
  t => [
    ...recordKeys('campaign_members', t),
    ...listIndexes('campaign_members', t, [
      'campaign_id',
      'contact_id',
      'lead_id',
      'created_at',
      'updated_at'
    ]),
    index('idx_campaign_members_status')
      .on(t.organization_id, t.campaign_id, t.status, t.id)
      .where(sql`${t.deleted_at} is null`),
    uniqueIndex('campaign_members_contact_id_unique')
      .on(t.organization_id, t.campaign_id, t.contact_id)
      .where(sql`${t.deleted_at} is null`),
    uniqueIndex('campaign_members_lead_id_unique')
      .on(t.organization_id, t.campaign_id, t.lead_id)
      .where(sql`${t.deleted_at} is null`),
    reference('campaign_members', t, 'campaign_id', campaigns),
    reference('campaign_members', t, 'contact_id', contacts),
    reference('campaign_members', t, 'lead_id', leads),
    check('campaign_members_contact_id_check', sql`num_nonnulls(${t.contact_id}, ${t.lead_id}) = 1`)
  ]
)

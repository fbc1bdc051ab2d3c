import { sql } from '../../../core/db/drizzle.ts'
import { ours, oursWithDeleted } from '../../../core/db/sql.ts'
import { Id, OneOf } from '../../../core/http/schema.ts'
import { mine } from '../../../core/records/filter.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { campaignMembers } from '../../marketing/campaign-members/table.ts'
import { transitions } from '../../sales/stage-history/table.ts'
import { contacts } from '../contacts/table.ts'
import { tags } from '../tags/table.ts'
import { Lead, LeadChanges, NewLead } from './schema.ts'
import { filterable, leads, statuses } from './table.ts'

export const leadResource = defineResource({
  name: 'lead',
  plural: 'leads',
  description: 'Potential customers.',
  table: leads,
  schema: Lead,
  create: NewLead,
  update: LeadChanges,
  filters: ['id', ...filterable, 'tags'],
  sorts: ['id', 'status', 'score', 'grade', 'moved_at', 'created_at', 'updated_at'],
  virtualFilters: {
    entered_status: {
      schema: OneOf(statuses, { description: 'Is or has been in this status.' }),
      condition: status => sql`exists (select from ${ours(transitions)}
        where ${transitions.subject_type} = 'lead' and ${transitions.subject_id} = ${leads.id}
          and ${transitions.to_stage} = ${status})`,
      reads: [leads.status]
    },
    campaign_id: {
      schema: Id({ description: 'Member of this campaign.' }),
      condition: campaign => sql`exists (select from ${ours(campaignMembers)}
        where ${campaignMembers.lead_id} = ${leads.id}
          and ${campaignMembers.campaign_id} = ${campaign})`
    },
    mine: mine(leads.assigned_to)
  },
  related: ['contact'],
  include: {
    contact: 'contact_id',
    assigned_to: 'assigned_to',
    tags: { ids: 'tags', of: tags }
  },
  title: sql`coalesce(nullif(concat_ws(', ',
    (select c.first_name || ' ' || c.last_name from ${oursWithDeleted(contacts, 'c')}
      where c.id = ${leads.contact_id}),
    ${leads.source}), ''), 'lead ' || ${leads.id})`,
  transitions: 'status'
})

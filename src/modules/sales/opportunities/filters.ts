import { Type } from '@sinclair/typebox'
import type { SQL } from 'drizzle-orm'
import { keyOf } from '../../../core/db/columns.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { ours, oursWithDeleted } from '../../../core/db/sql.ts'
import { Id, Key, Text } from '../../../core/http/schema.ts'
import { mine, type VirtualFilters } from '../../../core/records/filter.ts'
import { leads } from '../../crm/leads/table.ts'
import { campaignMembers } from '../../marketing/campaign-members/table.ts'
import { transitions } from '../stage-history/table.ts'
import { opportunities } from './table.ts'

const { id, lead_id, assigned_to, created_at } = opportunities

/** All leads: what came of a lead that was deleted is not undone. */
const everyLead = oursWithDeleted(leads)

/** The leads that are members of a campaign, themselves or by their contact, and since when. */
const members = (campaign: SQL) => sql`(
  select ${campaignMembers.lead_id}, ${campaignMembers.created_at} from ${ours(campaignMembers)}
  where ${campaignMembers.campaign_id} = ${campaign}
  union all
  select ${leads.id}, ${campaignMembers.created_at}
  from ${ours(campaignMembers)} join ${everyLead}
    on ${leads.contact_id} = ${campaignMembers.contact_id}
  where ${campaignMembers.campaign_id} = ${campaign}) member`

/** The condition that the lead of an opportunity meets another one. */
const ofLead = (condition: SQL) =>
  sql`exists (select from ${everyLead} where ${leads.id} = ${lead_id} and ${condition})`

/** Filters of opportunities that are not fields. */
export const opportunityFilters: VirtualFilters = {
  contact_id: {
    schema: Id({ description: 'Contact of the lead, deleted or not.' }),
    condition: contact => ofLead(sql`${leads.contact_id} = ${contact}`)
  },
  entered_stage: {
    schema: Key(50, { description: 'Is or has been in this stage.' }),
    condition: key => sql`exists (select from ${ours(transitions)}
      where ${transitions.subject_type} = 'opportunity' and ${transitions.subject_id} = ${id}
        and ${transitions.to_stage} = ${key})`,
    reads: [opportunities.stage]
  },
  lead_source: {
    schema: Text(50, { description: '`source` of the lead, deleted or not.' }),
    condition: source => ofLead(sql`${keyOf(leads.source)} = ${keyOf(leads.source, source)}`)
  },
  'lead_source[null]': {
    schema: Type.Boolean({
      description:
        'There is no lead, or it has no `source` (true); the lead has a `source` (false).'
    }),
    // not `exists`: for its negation Postgres would read all leads of all organizations
    condition: () => sql`(select ${leads.source} from ${everyLead}
      where ${leads.id} = ${lead_id}) is null`
  },
  campaign_id: {
    schema: Id({
      description:
        'The lead, or its contact, was a member of this campaign before the opportunity was ' +
        'created.'
    }),
    // the first condition finds candidates by the leads of the campaign, the second one is exact
    condition: campaign => sql`(${lead_id} in (select member.lead_id from ${members(campaign)})
      and exists (select from ${members(campaign)}
        where member.lead_id = ${lead_id} and member.created_at <= ${created_at}))`
  },
  mine: mine(assigned_to)
}

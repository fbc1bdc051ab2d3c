import type { SQL } from 'drizzle-orm'
import { sql } from '../../../core/db/drizzle.ts'
import { isAsker, type Scopes } from '../../../core/records/filter.ts'
import { opportunities } from './table.ts'

const { organization_id, id, lead_id, assigned_to, created_at } = opportunities

/** The leads that are members of a campaign, themselves or as their contact, and since when. */
const members = (campaign: SQL) => sql`(
  select m.lead_id, m.created_at from campaign_members m
  where m.organization_id = ${sql.placeholder('organization')} and m.campaign_id = ${campaign} and m.deleted_at is null
  union all
  select l.id, m.created_at from campaign_members m join leads l on l.organization_id = m.organization_id and l.contact_id = m.contact_id
  where m.organization_id = ${sql.placeholder('organization')} and m.campaign_id = ${campaign} and m.deleted_at is null and l.deleted_at is null) member`

/** The filters of opportunities that are no columns; what they mean is told in `opportunityScopes` (schema.ts). */
export const scopes: Scopes = {
  contact_id: contact => sql`exists (
    select from leads l where l.organization_id = ${organization_id} and l.id = ${lead_id} and l.deleted_at is null and l.contact_id = ${contact})`,
  entered_stage: key => sql`exists (
    select from moves m
    where m.organization_id = ${organization_id} and m.subject_type = 'opportunity' and m.subject_id = ${id} and m.to_stage = ${key})`,
  lead_source: source => sql`exists (
    select from leads l where l.organization_id = ${organization_id} and l.id = ${lead_id} and l.deleted_at is null and l.source = ${source})`,
  // no `exists`: Postgres would read all leads of all organisations for its negation
  'lead_source[null]': () => sql`(
    select l.source from leads l where l.organization_id = ${organization_id} and l.id = ${lead_id} and l.deleted_at is null) is null`,
  // the first condition finds them by the few leads of a campaign, the second one looks at the time
  campaign_id: campaign => sql`(${lead_id} in (select member.lead_id from ${members(campaign)})
    and exists (select from ${members(campaign)} where member.lead_id = ${lead_id} and member.created_at <= ${created_at}))`,
  mine: isAsker(assigned_to)
}

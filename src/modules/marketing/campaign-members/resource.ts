import { defineResource } from '../../../core/records/resource.ts'
import { CampaignMember, CampaignMemberChanges, NewCampaignMember } from './schema.ts'
import { campaignMembers } from './table.ts'

export const campaignMemberResource = defineResource({
  name: 'campaign_member',
  plural: 'campaign_members',
  description: 'Contacts and leads that campaigns target.',
  table: campaignMembers,
  schema: CampaignMember,
  create: NewCampaignMember,
  update: CampaignMemberChanges,
  filters: ['id', 'campaign_id', 'contact_id', 'lead_id', 'status', 'created_at', 'updated_at'],
  sorts: ['id', 'created_at', 'updated_at'],
  include: { campaign: 'campaign_id', contact: 'contact_id', lead: 'lead_id' },
  membershipIn: 'campaign_id'
})

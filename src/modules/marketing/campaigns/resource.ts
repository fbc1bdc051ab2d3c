import { sql } from '../../../core/db/drizzle.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { tags } from '../../crm/tags/table.ts'
import { Campaign, CampaignChanges, NewCampaign } from './schema.ts'
import { campaigns, filterable, searchable } from './table.ts'

export const campaignResource = defineResource({
  name: 'campaign',
  plural: 'campaigns',
  description: 'Marketing campaigns and their results.',
  table: campaigns,
  schema: Campaign,
  create: NewCampaign,
  update: CampaignChanges,
  filters: ['id', ...filterable, 'tags'],
  sorts: ['id', 'name', 'status', 'start_date', 'end_date', 'budget', 'created_at', 'updated_at'],
  search: searchable,
  include: { assigned_to: 'assigned_to', tags: { ids: 'tags', of: tags } },
  title: sql`${campaigns.name}`
})

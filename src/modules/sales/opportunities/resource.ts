import { sql } from '../../../core/db/drizzle.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { tags } from '../../crm/tags/table.ts'
import { opportunityFilters } from './filters.ts'
import { NewOpportunity, Opportunity, OpportunityChanges } from './schema.ts'
import { filterable, opportunities, searchable } from './table.ts'

export const opportunityResource = defineResource({
  name: 'opportunity',
  plural: 'opportunities',
  description: 'Potential sales.',
  table: opportunities,
  schema: Opportunity,
  create: NewOpportunity,
  update: OpportunityChanges,
  filters: ['id', ...filterable, 'tags'],
  sorts: [
    'id',
    'title',
    'amount',
    'stage',
    'status',
    'probability',
    'close_date',
    'moved_at',
    'closed_at',
    'created_at',
    'updated_at'
  ],
  sortColumns: { stage: opportunities.stage_position },
  hidden: ['stage_position'],
  search: searchable,
  virtualFilters: opportunityFilters,
  include: {
    lead: 'lead_id',
    account: 'account_id',
    pipeline: 'pipeline_id',
    assigned_to: 'assigned_to',
    tags: { ids: 'tags', of: tags }
  },
  title: sql`${opportunities.title}`,
  transitions: 'stage'
})

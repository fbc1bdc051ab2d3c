import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { crud } from '../../kit/crud.ts'
import { Ref } from '../../kit/schema.ts'
import { Account } from '../accounts/schema.ts'
import * as accounts from '../accounts/service.ts'
import { Lead } from '../leads/schema.ts'
import * as leads from '../leads/service.ts'
import { TagList } from '../tags/schema.ts'
import * as tags from '../tags/service.ts'
import { UserSummary } from '../users/schema.ts'
import { findSummaries } from '../users/service.ts'
import { NewOpportunity, Opportunity, OpportunityChanges } from './schema.ts'
import * as opportunities from './service.ts'
import { searchable } from './table.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  crud(app, opportunities, {
    one: 'opportunity', many: 'opportunities', record: Opportunity, create: NewOpportunity, update: OpportunityChanges,
    filter: ['id', 'lead_id', 'account_id', 'title', 'amount', 'pipeline_id', 'stage', 'status', 'probability', 'close_date', 'assigned_to', 'moved_at', 'closed_at', 'tags', 'created_at', 'updated_at'],
    sort: ['id', 'title', 'amount', 'stage', 'probability', 'close_date', 'moved_at', 'closed_at', 'created_at', 'updated_at'],
    search: searchable,
    include: {
      lead: { by: 'lead_id', find: leads.find, record: Ref(Lead), permission: 'leads:read' },
      account: { by: 'account_id', find: accounts.find, record: Ref(Account), permission: 'accounts:read' },
      assigned_to: { by: 'assigned_to', find: findSummaries, record: Ref(UserSummary) },
      tags: { by: 'tags', find: tags.find, record: TagList, permission: 'tags:read' }
    }
  })
}

export default routes

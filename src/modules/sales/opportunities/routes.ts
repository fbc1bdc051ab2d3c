import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { crud } from '../../../core/http/resource-routes.ts'
import { Paged } from '../../../core/records/list-query.ts'
import { answer, byId, nextLink } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { Account } from '../../crm/accounts/schema.ts'
import * as accounts from '../../crm/accounts/service.ts'
import { Lead } from '../../crm/leads/schema.ts'
import * as leads from '../../crm/leads/service.ts'
import { Move, MovePage } from '../stage-history/schema.ts'
import { Pipeline } from '../pipelines/schema.ts'
import * as pipelines from '../pipelines/service.ts'
import { TagList } from '../../crm/tags/schema.ts'
import * as tags from '../../crm/tags/service.ts'
import { UserSummary } from '../../identity/users/schema.ts'
import { findSummaries } from '../../identity/users/service.ts'
import {
  NewOpportunity,
  Opportunity,
  OpportunityChanges,
  opportunityFilter,
  opportunityScopes
} from './schema.ts'
import * as opportunities from './service.ts'
import { searchable } from './table.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  crud(app, opportunities, {
    one: 'opportunity',
    many: 'opportunities',
    record: Opportunity,
    create: NewOpportunity,
    update: OpportunityChanges,
    filter: opportunityFilter,
    scopes: opportunityScopes,
    sort: [
      'id',
      'title',
      'amount',
      'stage',
      'probability',
      'close_date',
      'moved_at',
      'closed_at',
      'created_at',
      'updated_at'
    ],
    search: searchable,
    include: {
      lead: { by: 'lead_id', find: leads.find, record: Ref(Lead), permission: 'leads:read' },
      account: {
        by: 'account_id',
        find: accounts.find,
        record: Ref(Account),
        permission: 'accounts:read'
      },
      pipeline: {
        by: 'pipeline_id',
        find: pipelines.find,
        record: Ref(Pipeline),
        permission: 'pipelines:read'
      },
      assigned_to: { by: 'assigned_to', find: findSummaries, record: Ref(UserSummary) },
      tags: { by: 'tags', find: tags.find, record: TagList, permission: 'tags:read' }
    }
  })

  for (const schema of [Move, MovePage]) app.addSchema(schema)
  app.get(
    '/:id/moves',
    {
      config: { permission: 'opportunities:read' },
      schema: {
        operationId: 'listOpportunityMoves',
        summary: 'List the moves of an opportunity',
        tags: ['opportunities'],
        description:
          'The way of an opportunity through its stages, newest first: who moved it, and how long it had been in the stage before.',
        params: byId(),
        querystring: Paged,
        response: answer(200, 'The moves.', Ref(MovePage))
      }
    },
    async (request, reply) => {
      const page = await opportunities.movesOfOpportunity(
        request.ctx,
        request.params.id,
        request.query
      )
      if (page.next_cursor !== null) reply.header('link', nextLink(request, page.next_cursor))
      return page
    }
  )
}

export default routes

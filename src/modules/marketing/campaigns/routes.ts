import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { crud } from '../../../core/http/resource-routes.ts'
import { answer, byId, idOf } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { TagList } from '../../crm/tags/schema.ts'
import * as tags from '../../crm/tags/service.ts'
import { UserSummary } from '../../identity/users/schema.ts'
import { findSummaries } from '../../identity/users/service.ts'
import {
  AddedMembers,
  Addition,
  Campaign,
  CampaignChanges,
  CampaignResults,
  NewCampaign
} from './schema.ts'
import * as campaigns from './service.ts'
import { searchable } from './table.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  for (const schema of [AddedMembers, Addition, CampaignResults]) app.addSchema(schema)

  crud(app, campaigns, {
    one: 'campaign',
    many: 'campaigns',
    record: Campaign,
    create: NewCampaign,
    update: CampaignChanges,
    filter: [
      'id',
      'name',
      'type',
      'status',
      'start_date',
      'end_date',
      'budget',
      'assigned_to',
      'tags',
      'created_at',
      'updated_at'
    ],
    sort: ['id', 'name', 'status', 'start_date', 'end_date', 'budget', 'created_at', 'updated_at'],
    search: searchable,
    include: {
      assigned_to: { by: 'assigned_to', find: findSummaries, record: Ref(UserSummary) },
      tags: { by: 'tags', find: tags.find, record: TagList, permission: 'tags:read' }
    }
  })

  app.post(
    '/:id/members',
    {
      config: { permission: 'campaigns:write' },
      schema: {
        operationId: 'addCampaignMembers',
        summary: 'Add members by a filter',
        tags: ['campaigns'],
        description:
          'Makes members of all contacts or leads that meet a filter now. Who is a member already stays as he is, so it can be sent again. The first thousand are added at once, more within the next minutes.',
        params: byId(),
        body: Ref(AddedMembers),
        response: answer(200, 'How many were added, and whether more will be.', Ref(Addition))
      }
    },
    async request => {
      request.ctx.require('campaign-members:write')
      request.ctx.require(`${request.body.resource}:read`)
      return await campaigns.addByFilter(request.ctx, idOf(request), request.body)
    }
  )

  app.get(
    '/:id/results',
    {
      config: { permission: 'campaigns:read' },
      schema: {
        operationId: 'getCampaignResults',
        summary: 'Get the results of a campaign',
        tags: ['campaigns'],
        description:
          'Members, responses, and the opportunities that came after, each number with the list that adds up to it.',
        params: byId(),
        response: answer(200, 'The results.', Ref(CampaignResults))
      }
    },
    async request => {
      for (const permission of ['campaign-members:read', 'opportunities:read'])
        request.ctx.require(permission)
      return await campaigns.results(request.ctx, idOf(request))
    }
  )
}

export default routes

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { causes, problems } from '../../../core/http/operations.ts'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import { idOf, idParameter, response } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { campaignResource } from './resource.ts'
import { AddedMembers, Addition, CampaignResults } from './schema.ts'
import { campaignService } from './service.ts'

causes(['addCampaignMembers'], 'campaign_member.created', 'campaign_member.restored')

const tags = [campaignResource.path]

const routes: FastifyPluginAsyncTypebox = async app => {
  for (const schema of [AddedMembers, Addition, CampaignResults]) app.addSchema(schema)
  await resourceRoutes(app, campaignResource, campaignService)

  app.post(
    '/:id/members',
    {
      config: { permission: 'campaign-members:create' },
      schema: {
        operationId: 'addCampaignMembers',
        summary: 'Add members by filter',
        description:
          'Adds all contacts or leads that currently match a filter as members. Existing ' +
          'members are skipped, so the request can be repeated. The first 1,000 are added ' +
          'immediately, the rest over the next few minutes: `Location` is that of the job.',
        tags,
        ...problems(409, 422),
        params: idParameter(),
        body: Ref(AddedMembers),
        response: response(200, 'The result.', Ref(Addition), 'Location')
      }
    },
    async (request, reply) => {
      const { ctx, body } = request
      ctx.require('campaigns:read')
      ctx.require(`${body.resource}:read`)
      const { job_id, ...result } = await campaignService.addByFilter(ctx, idOf(request), body)
      if (job_id !== undefined) reply.header('location', `/api/jobs/${job_id}`)
      return result
    }
  )

  app.get(
    '/:id/results',
    {
      config: { permission: 'campaigns:read' },
      schema: {
        operationId: 'getCampaignResults',
        summary: "Get a campaign's results",
        description:
          'Members, responses and subsequent opportunities, each figure with the filtered list ' +
          'that it is based on.',
        tags,
        params: idParameter(),
        response: response(200, 'The results.', Ref(CampaignResults))
      }
    },
    async request => {
      const { ctx } = request
      ctx.require('campaign-members:read')
      ctx.require('opportunities:read')
      return await campaignService.results(ctx, idOf(request))
    }
  )
}

export default routes

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { problems } from '../../../core/http/operations.ts'
import { versionsOf } from '../../../core/http/preconditions.ts'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import { idParameter, recordResponse, requestHeaders } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { defineAction } from '../../../core/records/actions.ts'
import { leadResource } from './resource.ts'
import { Lead, Qualification } from './schema.ts'
import { leadService } from './service.ts'

defineAction(leadResource, 'qualify', {
  permission: 'leads:update',
  body: Qualification,
  run: async (ctx, id, body, { versions }) => await leadService.qualify(ctx, id, body, versions)
})

const routes: FastifyPluginAsyncTypebox = async app => {
  const { recordQuery, sendWritten } = await resourceRoutes(app, leadResource, leadService)

  app.addSchema(Qualification)
  app.post(
    '/:id/qualification',
    {
      config: { permission: 'leads:update' },
      schema: {
        operationId: 'qualifyLead',
        summary: 'Qualify a lead',
        description:
          'Sets a lead to qualified, or to unqualified with a reason, like PATCH with `status` ' +
          'and `unqualified_reason`. Without a body, the lead is qualified. Repeating the ' +
          'request changes nothing.',
        tags: [leadResource.path],
        ...problems(409, 422),
        params: idParameter(),
        querystring: recordQuery,
        body: Ref(Qualification),
        headers: requestHeaders('if-match'),
        response: recordResponse('The lead.', Ref(Lead))
      }
    },
    async (request, reply) => {
      const { ctx, body } = request
      const { id } = request.params
      const versions = versionsOf(request)
      return await sendWritten(request, reply, () => leadService.qualify(ctx, id, body, versions))
    }
  )
}

export default routes

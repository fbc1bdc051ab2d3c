import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { problems } from '../../../core/http/operations.ts'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import {
  idOf,
  idParameter,
  pageResponse,
  response,
  sendPage
} from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { integrationResource } from './resource.ts'
import { Acknowledgement, IntegrationLag, LogEntry, LogPage, LogQuery } from './schema.ts'
import { acknowledging, integrationService } from './service.ts'

const { path } = integrationResource
const tags = [path]

const routes: FastifyPluginAsyncTypebox = async app => {
  for (const schema of [Acknowledgement, IntegrationLag, LogEntry, LogPage]) app.addSchema(schema)
  await resourceRoutes(app, integrationResource, integrationService)

  app.put(
    '/:id/cursor',
    {
      config: { permission: acknowledging },
      schema: {
        operationId: 'acknowledgeEvents',
        summary: 'Acknowledge events',
        description:
          'Notes that the integration has done everything up to a cursor of the feed. It never ' +
          'goes back. For its own API token, and those who may change integrations; for anyone ' +
          'else, it is a 404.',
        tags,
        ...problems(404, 409, 410),
        params: idParameter(),
        body: Ref(Acknowledgement),
        response: response(200, 'How far the integration is.', Ref(IntegrationLag))
      }
    },
    async request =>
      await integrationService.acknowledge(request.ctx, idOf(request), request.body.cursor)
  )

  app.get(
    '/:id/lag',
    {
      config: { permission: `${path}:read` },
      schema: {
        operationId: 'getIntegrationLag',
        summary: 'Get the lag of an integration',
        description: 'How far the integration is behind the feed, by what it has acknowledged.',
        tags,
        ...problems(404),
        params: idParameter(),
        response: response(200, 'How far the integration is.', Ref(IntegrationLag))
      }
    },
    async request => await integrationService.lag(request.ctx, idOf(request))
  )

  app.get(
    '/:id/log',
    {
      config: { permission: `${path}:read` },
      schema: {
        operationId: 'getIntegrationLog',
        summary: 'Get the log of an integration',
        description:
          'What its API token wrote, exported and was refused, if the caller may read the audit ' +
          'log, and what its webhooks were sent in the last 30 days, if the caller may read ' +
          'webhooks; newest first.',
        tags,
        ...problems(404),
        params: idParameter(),
        querystring: LogQuery,
        response: pageResponse('The log.', Ref(LogPage))
      }
    },
    async (request, reply) => {
      const { ctx, query } = request
      return sendPage(request, reply, await integrationService.log(ctx, idOf(request), query))
    }
  )
}

export default routes

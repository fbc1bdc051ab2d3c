import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { problems } from '../../../core/http/operations.ts'
import { versionsOf } from '../../../core/http/preconditions.ts'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import {
  createdResponse,
  idOf,
  idParameter,
  recordResponse,
  requestHeaders,
  sendRecord
} from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { webhookResource } from './resource.ts'
import { IssuedWebhook, NewWebhook } from './schema.ts'
import { webhookService } from './service.ts'

const { path } = webhookResource
const tags = [path]

const routes: FastifyPluginAsyncTypebox = async app => {
  app.addSchema(IssuedWebhook)
  await resourceRoutes(app, webhookResource, webhookService)

  app.post(
    '',
    {
      config: { permission: `${path}:create` },
      schema: {
        operationId: 'createWebhook',
        summary: 'Create a webhook',
        description:
          'Creates a webhook and returns it with its secret, which only this response and that ' +
          'of a rotation contain. From now on, it gets the events that its author, the caller, ' +
          'may read.',
        tags,
        ...problems(409, 422),
        body: Ref(NewWebhook),
        response: createdResponse('The new webhook.', Ref(IssuedWebhook))
      }
    },
    async (request, reply) => {
      const issued = await webhookService.issue(request.ctx, request.body)
      reply.code(201).header('location', `${app.prefix}/${issued.id}`)
      return sendRecord(reply, issued)
    }
  )

  app.post(
    '/:id/rotation',
    {
      config: { permission: `${path}:update` },
      schema: {
        operationId: 'rotateWebhookSecret',
        summary: 'Rotate the secret of a webhook',
        description:
          'Replaces the secret and returns the webhook with the new one. For 24 hours, messages ' +
          'are signed with both.',
        tags,
        ...problems(404, 412),
        params: idParameter(),
        headers: requestHeaders('if-match'),
        response: recordResponse('The webhook with its new secret.', Ref(IssuedWebhook))
      }
    },
    async (request, reply) => {
      const issued = webhookService.rotate(request.ctx, idOf(request), versionsOf(request))
      return sendRecord(reply, await issued)
    }
  )
}

export default routes

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { problems } from '../../../core/http/operations.ts'
import {
  idOf,
  idParameter,
  pageResponse,
  response,
  sendPage
} from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { jobSchema } from '../../operations/jobs/schema.ts'
import { jobService } from '../../operations/jobs/service.ts'
import { webhookResource } from '../webhooks/resource.ts'
import { Delivery, DeliveryDetails, DeliveryPage, DeliveryQuery, Replay } from './schema.ts'
import { deliveryService } from './service.ts'

const { path } = webhookResource
const tags = [path]
const update = { permission: `${path}:update` }

/** Single deliveries, below `/api/deliveries`. */
const routes: FastifyPluginAsyncTypebox = async app => {
  app.addSchema(DeliveryDetails)

  app.get(
    '/:id',
    {
      config: { permission: `${path}:read` },
      schema: {
        operationId: 'getDelivery',
        summary: 'Get a delivery',
        description: 'A message to a webhook: the request, the response, and how long it took.',
        tags,
        ...problems(404),
        params: idParameter(),
        response: response(200, 'The delivery.', Ref(DeliveryDetails))
      }
    },
    async request => await deliveryService.get(request.ctx, idOf(request))
  )

  app.post(
    '/:id/retry',
    {
      config: update,
      schema: {
        operationId: 'retryDelivery',
        summary: 'Retry a delivery',
        description:
          'Gives a delivery that failed or was canceled up to ten new attempts; one that waits ' +
          'for its next attempt is tried at once. In any other state, it is a 409.',
        tags,
        ...problems(404, 409),
        params: idParameter(),
        response: response(202, 'The delivery.', Ref(DeliveryDetails))
      }
    },
    async (request, reply) => {
      const delivery = await deliveryService.retry(request.ctx, idOf(request))
      return reply.code(202).send(delivery)
    }
  )
}

/** The deliveries of a webhook, below `/api/webhooks`. */
export const ofWebhooks: FastifyPluginAsyncTypebox = async app => {
  const job = jobSchema()
  for (const schema of [Delivery, DeliveryPage, Replay, job]) app.addSchema(schema)

  app.get(
    '/:id/deliveries',
    {
      config: { permission: `${path}:read` },
      schema: {
        operationId: 'listWebhookDeliveries',
        summary: 'List the deliveries of a webhook',
        description:
          'The messages to a webhook, newest first; they are kept for 30 days after their end.',
        tags,
        ...problems(404),
        params: idParameter(),
        querystring: DeliveryQuery,
        response: pageResponse('The deliveries.', Ref(DeliveryPage))
      }
    },
    async (request, reply) => {
      const { ctx, query } = request
      return sendPage(request, reply, await deliveryService.list(ctx, idOf(request), query))
    }
  )

  app.post(
    '/:id/test',
    {
      config: update,
      schema: {
        operationId: 'testWebhook',
        summary: 'Test a webhook',
        description:
          'Sends a message of the type `webhook.tested`, in a single attempt. The delivery at ' +
          '`Location` has its outcome.',
        tags,
        ...problems(404, 409),
        params: idParameter(),
        response: response(202, 'The delivery.', Ref(DeliveryDetails), 'Location')
      }
    },
    async (request, reply) => {
      const delivery = await deliveryService.test(request.ctx, idOf(request))
      return reply.code(202).header('location', `/api/deliveries/${delivery.id}`).send(delivery)
    }
  )

  app.post(
    '/:id/replay',
    {
      config: update,
      schema: {
        operationId: 'replayWebhook',
        summary: 'Replay events to a webhook',
        description:
          'Sends events again: those after the cursor `after` and up to `until`, or from the ' +
          'time `from` and before `to`, that the author of the webhook may read now. They have ' +
          'the same `webhook-id`, and the header `webhook-replay: true`. The job at `Location` ' +
          'adds them.',
        tags,
        ...problems(404, 422),
        params: idParameter(),
        body: Ref(Replay),
        response: response(202, 'The job.', Ref(job), 'Location')
      }
    },
    async (request, reply) => {
      const id = await deliveryService.replay(request.ctx, idOf(request), request.body)
      return reply
        .code(202)
        .header('location', `/api/jobs/${id}`)
        .send(await jobService.get(request.ctx, id))
    }
  )
}

export default routes

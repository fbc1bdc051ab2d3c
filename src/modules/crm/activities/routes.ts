import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { problems } from '../../../core/http/operations.ts'
import { versionsOf } from '../../../core/http/preconditions.ts'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import { idOf, idParameter, recordResponse, requestHeaders } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { defineAction } from '../../../core/records/actions.ts'
import { activityResource } from './resource.ts'
import { Activity, Completion } from './schema.ts'
import { activityService } from './service.ts'

defineAction(activityResource, 'complete', {
  permission: 'activities:update',
  body: Completion,
  run: async (ctx, id, body, { versions }) =>
    await activityService.complete(ctx, id, body, versions)
})

const routes: FastifyPluginAsyncTypebox = async app => {
  const { recordQuery, sendWritten } = await resourceRoutes(app, activityResource, activityService)

  app.addSchema(Completion)
  app.post(
    '/:id/completion',
    {
      config: { permission: 'activities:update' },
      schema: {
        operationId: 'completeActivity',
        summary: 'Complete an activity',
        description:
          'Marks the activity as completed. A completed activity is unchanged; a canceled one ' +
          'must first be set to planned (409).',
        tags: [activityResource.path],
        ...problems(409, 422),
        params: idParameter(),
        querystring: recordQuery,
        body: Ref(Completion),
        headers: requestHeaders('if-match'),
        response: recordResponse('The activity.', Ref(Activity))
      }
    },
    async (request, reply) => {
      const { ctx, body } = request
      const versions = versionsOf(request)
      return await sendWritten(request, reply, () =>
        activityService.complete(ctx, idOf(request), body, versions)
      )
    }
  )
}

export default routes

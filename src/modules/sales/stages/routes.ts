import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { causes, problems } from '../../../core/http/operations.ts'
import { versionsOf } from '../../../core/http/preconditions.ts'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import { emptyResponse, idParameter, requestHeaders } from '../../../core/http/responses.ts'
import { Key } from '../../../core/http/schema.ts'
import { stageResource } from './resource.ts'
import { stageService } from './service.ts'

causes(['createStage'], 'stage.updated')
causes(['deleteStage'], 'stage.updated', 'opportunity.updated')

const RemovalQuery = Type.Object(
  {
    move_to: Type.Optional(
      Key(50, {
        description:
          'Key of the stage to move opportunities to, in the same pipeline and of the same kind.',
        examples: ['negotiation']
      })
    )
  },
  { additionalProperties: false }
)

const routes: FastifyPluginAsyncTypebox = async app => {
  const { remove: _, ...operations } = stageService
  await resourceRoutes(app, stageResource, operations)

  app.delete(
    '/:id',
    {
      config: { permission: 'stages:delete' },
      schema: {
        operationId: 'deleteStage',
        summary: 'Delete a stage',
        description:
          'Deletes the stage. If it has opportunities, `move_to` is required: the first 1,000 ' +
          'move immediately, the rest shortly afterward: `Location` is that of the job. If it ' +
          'fails, the same request moves the rest. Stages that this one could follow can then be ' +
          'followed by `move_to` instead.',
        tags: [stageResource.path],
        ...problems(409, 422),
        params: idParameter(7),
        querystring: RemovalQuery,
        headers: requestHeaders('if-match'),
        response: emptyResponse(204, 'Location')
      }
    },
    async (request, reply) => {
      const { id } = request.params
      const { ctx, query } = request
      const job = await stageService.remove(ctx, id, versionsOf(request), query.move_to)
      if (job !== undefined) reply.header('location', `/api/jobs/${job}`)
      return reply.code(204).send(null)
    }
  )
}

export default routes

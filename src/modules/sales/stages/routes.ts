import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { versionsOf } from '../../../core/http/preconditions.ts'
import { crud } from '../../../core/http/resource-routes.ts'
import { byId, conditions } from '../../../core/http/responses.ts'
import { Problem, Ref } from '../../../core/http/schema.ts'
import { Pipeline } from '../pipelines/schema.ts'
import * as pipelines from '../pipelines/service.ts'
import { remove } from './removal.ts'
import { NewStage, Stage, StageChanges } from './schema.ts'
import * as stages from './service.ts'

const MoveTo = Type.Object(
  {
    move_to: Type.Optional(
      Type.String({
        maxLength: 50,
        pattern: '^[a-z][a-z0-9_]*$',
        description:
          'The key of the stage to which its opportunities move; one of the same pipeline and kind.'
      })
    )
  },
  { additionalProperties: false }
)

const routes: FastifyPluginAsyncTypebox = async app => {
  crud(app, stages, {
    one: 'stage',
    many: 'stages',
    record: Stage,
    create: NewStage,
    update: StageChanges,
    filter: ['id', 'pipeline_id', 'key', 'kind', 'created_at', 'updated_at'],
    sort: ['id', 'position', 'created_at', 'updated_at'],
    include: {
      pipeline: {
        by: 'pipeline_id',
        find: pipelines.find,
        record: Ref(Pipeline),
        permission: 'pipelines:read'
      }
    }
  })

  app.delete(
    '/:id',
    {
      config: { permission: 'stages:write' },
      schema: {
        operationId: 'deleteStage',
        summary: 'Delete a stage',
        tags: ['stages'],
        description:
          'Deletes the stage softly. While opportunities are in it, only with `move_to`: they move there, the first thousand at once and the ' +
          'others soon after. Other stages that let move to it let move there instead.',
        params: byId(7),
        querystring: MoveTo,
        headers: conditions(['if-match']),
        response: {
          204: Type.Null({ description: 'The stage is deleted.' }),
          422: {
            description: 'Unprocessable Entity',
            content: { 'application/problem+json': { schema: Ref(Problem) } }
          }
        }
      }
    },
    async (request, reply) => {
      await remove(request.ctx, request.params.id, request.query.move_to, versionsOf(request))
      return reply.code(204).send(null)
    }
  )
}

export default routes

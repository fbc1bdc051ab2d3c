import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { withCompression } from '../../../core/http/compression.ts'
import { causes, defineTag, problems } from '../../../core/http/operations.ts'
import { mountList } from '../../../core/http/resource-reads.ts'
import { idParameter, pageResponse, response, sendPage } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { ListQueryReader, PageQuery } from '../../../core/records/list-query.ts'
import { undoDays } from '../../../core/records/operations.ts'
import {
  OperationChange,
  OperationChangePage,
  OperationPage,
  operationSchema,
  UndoneOperation,
  UndoQuery
} from './schema.ts'
import { operationService } from './service.ts'

causes(['undoOperation'], '*.updated', '*.deleted', '*.restored')

const path = 'operations'
const filters = ['kind', 'created_by', 'request_id', 'created_at'] as const
const tags = [defineTag(path, 'What changed several records in one step, and can be undone.')]

/** Operations and their undo, below `/api/operations`. */
const routes: FastifyPluginAsyncTypebox = async app => {
  const schema = operationSchema()
  const schemas = [OperationPage, OperationChange, OperationChangePage, UndoneOperation]
  for (const one of [schema, ...schemas]) app.addSchema(one)
  await withCompression(app, app => {
    mountList({
      app,
      resource: { path, plural: path, pluralLabel: path },
      service: operationService,
      schema,
      relations: {},
      query: new ListQueryReader({ path, schema, filters })
    })
  })
  await app.register(readRoutes, { schema })
  await app.register(undoRoute)
}

const readRoutes: FastifyPluginAsyncTypebox<{
  schema: ReturnType<typeof operationSchema>
}> = async (app, { schema }) => {
  app.get(
    '/:id',
    {
      config: { permission: `${path}:read` },
      schema: {
        operationId: 'getOperation',
        summary: 'Get an operation',
        description: 'An operation of the caller; administrators get those of all users.',
        tags,
        params: idParameter(),
        response: response(200, 'The operation.', Ref(schema))
      }
    },
    async request => await operationService.get(request.ctx, request.params.id)
  )

  app.get(
    '/:id/changes',
    {
      config: { permission: `${path}:read` },
      schema: {
        operationId: 'listOperationChanges',
        summary: 'List the changes of an operation',
        description:
          'What an operation changed, in the order of the changes: of the records that the ' +
          'caller may read, the fields that the caller sees.',
        tags,
        params: idParameter(),
        querystring: PageQuery,
        response: pageResponse('The changes.', Ref(OperationChangePage))
      }
    },
    async (request, reply) => {
      const { ctx, params, query } = request
      return sendPage(request, reply, await operationService.changes(ctx, params.id, query))
    }
  )
}

const undoRoute: FastifyPluginAsyncTypebox = async app => {
  app.post(
    '/:id/undo',
    {
      config: { permission: `${path}:update` },
      schema: {
        operationId: 'undoOperation',
        summary: 'Undo an operation',
        description:
          `Undoes an operation of the last ${undoDays} days, all or nothing, as a new operation; ` +
          'undoing that one brings everything back. Fields get the values from before, records ' +
          'that it created are deleted, those that it deleted are restored. What has changed ' +
          'since is left, as are records that others now refer to; the response lists it. ' +
          'Rules of transition do not apply: a won opportunity goes back to its stage. The ' +
          "caller's roles do: what they do not allow is left, too. 409 `changed_since` if " +
          'nothing could be undone or, with `strict=true`, not everything.',
        tags,
        ...problems(409),
        params: idParameter(),
        querystring: UndoQuery,
        response: response(201, 'What was undone, and left.', Ref(UndoneOperation), 'Location')
      }
    },
    async (request, reply) => {
      const { ctx, params, query } = request
      const undone = await operationService.undo(ctx, params.id, query.strict === true)
      reply.code(201).header('location', `/api/operations/${undone.operation.id}`)
      return undone
    }
  )
}

export default routes

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { withCompression } from '../../../core/http/compression.ts'
import { idOf, idParameter, pageResponse, sendPage } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { pascalCase, withArticle } from '../../../core/names.ts'
import { PageQuery } from '../../../core/records/list-query.ts'
import type { ListQuery } from '../../../core/records/list.ts'
import { allResources, type Resource } from '../../../core/records/resource.ts'
import { Transition, TransitionPage } from './schema.ts'
import { stageHistoryService } from './service.ts'

/** The stage history of each resource that declares `transitions`. */
const routes: FastifyPluginAsyncTypebox = async app => {
  for (const schema of [Transition, TransitionPage]) app.addSchema(schema)

  await withCompression(app, app => {
    for (const resource of allResources().filter(({ transitions }) => transitions !== undefined))
      mountHistory(app, resource)
  })
}

function mountHistory(app: FastifyInstance, resource: Resource): void {
  const { name, label, path, transitions } = resource
  app.get(
    `/${path}/:id/moves`,
    {
      config: { permission: `${path}:read` },
      schema: {
        operationId: `list${pascalCase(name)}Moves`,
        summary: `List the ${transitions} history of ${withArticle(label)}`,
        description:
          `The ${transitions} transitions of the ${label}, newest first: who made each one, and ` +
          `how long the ${label} had been in the previous ${transitions}.`,
        tags: [path],
        params: idParameter(),
        querystring: PageQuery,
        response: pageResponse('The transitions.', Ref(TransitionPage))
      }
    },
    async (request, reply) => {
      const query = request.query as ListQuery
      const page = await stageHistoryService.historyOf(request.ctx, resource, idOf(request), query)
      return sendPage(request, reply, page)
    }
  )
}

export default routes

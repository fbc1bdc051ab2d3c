import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import { idOf, idParameter, pageResponse, sendPage } from '../../../core/http/responses.ts'
import { PageOf, Ref } from '../../../core/http/schema.ts'
import { cursorParameter } from '../../../core/records/list-query.ts'
import { Territory } from '../../automation/territories/schema.ts'
import { accountResource } from './resource.ts'
import { accountService } from './service.ts'

const TerritoryPage = PageOf(Territory)

const routes: FastifyPluginAsyncTypebox = async app => {
  await resourceRoutes(app, accountResource, accountService)

  app.get(
    '/:id/territories',
    {
      config: { permission: 'accounts:read' },
      schema: {
        operationId: 'listAccountTerritories',
        summary: 'List the territories of an account',
        description:
          'The territories whose filters the account currently matches, sorted by name. Each ' +
          'page covers 200 territories, so it may contain few or none even if there is a next ' +
          'page.',
        tags: [accountResource.path],
        params: idParameter(),
        querystring: Type.Object({ cursor: cursorParameter }, { additionalProperties: false }),
        response: pageResponse('The territories.', Ref(TerritoryPage))
      }
    },
    async (request, reply) => {
      const { ctx } = request
      ctx.require('territories:read')
      const page = await accountService.territoriesOf(ctx, idOf(request), request.query)
      return sendPage(request, reply, page)
    }
  )
}

export default routes

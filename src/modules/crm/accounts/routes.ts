import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { crud } from '../../../core/http/resource-routes.ts'
import { cursorParameter } from '../../../core/records/list-query.ts'
import { answer, byId, idOf, nextLink } from '../../../core/http/responses.ts'
import { Id, PageOf, Ref } from '../../../core/http/schema.ts'
import { TagList } from '../tags/schema.ts'
import * as tags from '../tags/service.ts'
import { Territory } from '../../automation/territories/schema.ts'
import { UserSummary } from '../../identity/users/schema.ts'
import { findSummaries } from '../../identity/users/service.ts'
import { Account, AccountChanges, accountFilter, NewAccount } from './schema.ts'
import * as accounts from './service.ts'
import { searchable } from './table.ts'

const TerritoryPage = PageOf(Territory)

const routes: FastifyPluginAsyncTypebox = async app => {
  crud(app, accounts, {
    one: 'account',
    many: 'accounts',
    record: Account,
    create: NewAccount,
    update: AccountChanges,
    filter: accountFilter,
    sort: ['id', 'name', 'annual_revenue', 'employee_count', 'created_at', 'updated_at'],
    search: searchable,
    include: {
      parent_account: {
        by: 'parent_account_id',
        find: accounts.find,
        record: Ref(Account),
        permission: 'accounts:read'
      },
      assigned_to: { by: 'assigned_to', find: findSummaries, record: Ref(UserSummary) },
      tags: { by: 'tags', find: tags.find, record: TagList, permission: 'tags:read' }
    },
    scopes: { territory_id: Id({ description: 'It is in this territory.' }) }
  })

  app.get(
    '/:id/territories',
    {
      config: { permission: 'accounts:read' },
      schema: {
        operationId: 'listAccountTerritories',
        summary: 'List the territories of an account',
        tags: ['accounts'],
        description:
          'The territories whose filters the account meets now, by name. Each page looks through 200 territories, so that it may show fewer or none and still have a next one.',
        params: byId(),
        querystring: Type.Object({ cursor: cursorParameter }, { additionalProperties: false }),
        response: answer(200, 'The territories.', Ref(TerritoryPage))
      }
    },
    async (request, reply) => {
      request.ctx.require('territories:read')
      const page = await accounts.territoriesOf(request.ctx, idOf(request), request.query)
      if (page.next_cursor !== null) reply.header('link', nextLink(request, page.next_cursor))
      return page
    }
  )
}

export default routes

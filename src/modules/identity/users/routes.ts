import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { crud } from '../../../core/http/resource-routes.ts'
import { nextLink } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import {
  DirectoryQuery,
  NewUser,
  User,
  UserChanges,
  UserSummary,
  UserSummaryPage
} from './schema.ts'
import * as users from './service.ts'
import { searchable } from './table.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  for (const schema of [UserSummary, UserSummaryPage]) app.addSchema(schema)

  app.get(
    '/directory',
    {
      config: { permission: 'directory:read' },
      schema: {
        operationId: 'listDirectory',
        summary: 'List whom work can be assigned to',
        description: 'The names of the active users, in their order. For every role.',
        tags: ['users'],
        querystring: DirectoryQuery,
        response: {
          200: {
            description: 'The users.',
            content: { 'application/json': { schema: Ref(UserSummaryPage) } }
          }
        }
      }
    },
    async (request, reply) => {
      const { q = '', ...asked } = request.query
      const page = await users.directory(request.ctx, {
        ...asked,
        words: q.split(/\s+/).filter(word => word !== '')
      })
      if (page.next_cursor !== null) reply.header('link', nextLink(request, page.next_cursor))
      return page
    }
  )

  crud(app, users, {
    one: 'user',
    many: 'users',
    record: User,
    create: NewUser,
    update: UserChanges,
    filter: ['id', 'username', 'email', 'role', 'status', 'created_at', 'updated_at'],
    sort: ['id', 'username', 'email', 'created_at', 'updated_at'],
    search: searchable
  })
}

export default routes

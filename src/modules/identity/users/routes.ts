import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { definePermission } from '../../../core/access/permissions.ts'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import { pageResponse, sendPage } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { wordsIn } from '../../../core/records/search.ts'
import { mountUserSessions } from '../auth/session-routes.ts'
import { mountUserSecondFactors } from '../second-factors/user-routes.ts'
import { mountUserIdentities } from '../sign-in/identity-routes.ts'
import { userResource } from './resource.ts'
import { DirectoryQuery, UserSummary, UserSummaryPage } from './schema.ts'
import { userService } from './service.ts'

definePermission('directory:read', 'everyone')

const routes: FastifyPluginAsyncTypebox = async app => {
  for (const schema of [UserSummary, UserSummaryPage]) app.addSchema(schema)

  app.get(
    '/directory',
    {
      config: { permission: 'directory:read' },
      schema: {
        operationId: 'listDirectory',
        summary: 'List assignable users',
        description:
          'The IDs and usernames of active users, sorted by username. Available to every role.',
        tags: [userResource.path],
        querystring: DirectoryQuery,
        response: pageResponse('The users.', Ref(UserSummaryPage))
      }
    },
    async (request, reply) => {
      const { q, ...page } = request.query
      const words = q === undefined ? [] : wordsIn(q)
      const found = await userService.directory(request.ctx, { ...page, words })
      return sendPage(request, reply, found)
    }
  )

  await resourceRoutes(app, userResource, userService)
  mountUserSessions(app, [userResource.path])
  mountUserSecondFactors(app, [userResource.path])
  mountUserIdentities(app, [userResource.path])
}

export default routes

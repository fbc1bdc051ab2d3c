import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { definePermission } from '../../../core/access/permissions.ts'
import { defineTag, problems } from '../../../core/http/operations.ts'
import { response } from '../../../core/http/responses.ts'
import { allResources } from '../../../core/records/resource.ts'
import { Ref } from '../../../core/http/schema.ts'
import { AccessExplanation, accessQuery } from './schema.ts'
import { explainAccess } from './service.ts'

definePermission('access:read', 'everyone')

const routes: FastifyPluginAsyncTypebox = async app => {
  app.addSchema(AccessExplanation)
  const types = allResources()
    .filter(({ schema }) => schema)
    .map(({ name }) => name)
    .toSorted()

  app.get(
    '/explain',
    {
      config: { permission: 'access:read' },
      schema: {
        operationId: 'explainAccess',
        summary: 'Explain what a user may do',
        description:
          'Whether a user may do something, with a record or at all, and which role, team or ' +
          'share decides that. Everyone may ask about themselves, admins about anyone.',
        tags: [defineTag('access', 'What users may do, and why.')],
        ...problems(404),
        querystring: accessQuery(types),
        response: response(200, 'The explanation.', Ref(AccessExplanation))
      }
    },
    async ({ ctx, query }) => {
      return await explainAccess(ctx, query)
    }
  )
}

export default routes

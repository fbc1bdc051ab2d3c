import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { problems } from '../../../core/http/operations.ts'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import { idOf, idParameter, response } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { checkProvider } from './checks.ts'
import { identityProviderResource } from './resource.ts'
import { ProviderCheck } from './schema.ts'
import { identityProviderService } from './service.ts'

const { path } = identityProviderResource

const routes: FastifyPluginAsyncTypebox<{ public_url: string }> = async (app, { public_url }) => {
  app.addSchema(ProviderCheck)
  await resourceRoutes(app, identityProviderResource, identityProviderService)

  app.post(
    '/:id/test',
    {
      config: { permission: `${path}:update` },
      schema: {
        operationId: 'testIdentityProvider',
        summary: 'Test an identity provider',
        description:
          'Looks up the provider at its issuer, and returns whether it can be used and which ' +
          'redirect URI to register there. The client ID and its secret show at the first sign-in.',
        tags: [path],
        ...problems(404),
        params: idParameter(),
        response: response(200, 'The result.', Ref(ProviderCheck))
      }
    },
    async request => await checkProvider(request.ctx, public_url, idOf(request))
  )
}

export default routes

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { problems } from '../../../core/http/operations.ts'
import { originOf } from '../../../core/http/origin.ts'
import { response } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { sessionOf } from '../auth/responses.ts'
import { Session } from '../auth/schema.ts'
import { mountOwnIdentities } from './identity-routes.ts'
import { pages } from './pages.ts'
import { CodeExchange, OrganizationPath, SignInProviders } from './schema.ts'
import { signInService, type Settings } from './service.ts'

const tags = ['auth']

/** Sign-in with an identity provider, below `/api/auth`. */
const routes: FastifyPluginAsyncTypebox<Settings> = async (app, settings) => {
  const { services } = app
  for (const schema of [SignInProviders, CodeExchange]) app.addSchema(schema)

  app.get(
    '/sign-in/:organization/providers',
    {
      config: { public: true },
      schema: {
        operationId: 'listSignInProviders',
        summary: 'List the providers of an organization',
        description:
          'Where the users of an organization can sign in, for the buttons of a login page. An ' +
          'unknown organization has none.',
        tags,
        params: OrganizationPath,
        response: response(200, 'The providers.', Ref(SignInProviders))
      }
    },
    async ({ params }) => ({ data: await signInService.providers(services, params.organization) })
  )

  await pages(app, settings)

  app.post(
    '/sign-in/exchange',
    {
      config: { public: true },
      schema: {
        operationId: 'exchangeSignIn',
        summary: 'Exchange a one-time code',
        description:
          'Returns the session of a user who has signed in with a provider. A code works once, ' +
          'for 60 seconds, with the `code_verifier` of the front end that has started the ' +
          'sign-in; any other is a 422 at `/sign_in_code`.',
        tags,
        ...problems(422),
        body: Ref(CodeExchange),
        response: response(200, 'The session.', Ref(Session))
      }
    },
    async request => {
      const { body } = request
      return sessionOf(app, await signInService.exchange(services, body, originOf(request)))
    }
  )

  mountOwnIdentities(app, tags)
}

export default routes

import type { FastifyInstance } from 'fastify'
import { problems } from '../../../core/http/operations.ts'
import { emptyResponse, idOf, idParameter, response } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { userService } from '../users/service.ts'
import { listIdentities, unlinkAll, unlinkOwn } from './identities.ts'
import { ExternalIdentity, ExternalIdentityList } from './schema.ts'

const listed = response(200, 'The identities.', Ref(ExternalIdentityList))

/** One's own identities, below `/api/auth`. */
export function mountOwnIdentities(app: FastifyInstance, tags: string[]): void {
  for (const schema of [ExternalIdentity, ExternalIdentityList]) app.addSchema(schema)

  app.get(
    '/identities',
    {
      config: { permission: 'me:read' },
      schema: {
        operationId: 'listIdentities',
        summary: 'List your identities',
        description: 'The accounts at identity providers that you sign in with.',
        tags,
        response: listed
      }
    },
    async ({ ctx }) => ({ data: await listIdentities(ctx, ctx.user_id!) })
  )

  app.delete(
    '/identities/:id',
    {
      config: { permission: 'me:write' },
      schema: {
        operationId: 'unlinkIdentity',
        summary: 'Unlink one of your identities',
        description:
          'Unlinks an account at an identity provider. The last one of a user without a password ' +
          'is a 409. A later sign-in with the same email address links it again.',
        tags,
        ...problems(404, 409),
        params: idParameter(2),
        response: emptyResponse(204)
      }
    },
    async (request, reply) => {
      await unlinkOwn(request.ctx, idOf(request))
      return reply.code(204).send()
    }
  )
}

/** The identities of a user, for admins, below `/api/users`. */
export function mountUserIdentities(app: FastifyInstance, tags: string[]): void {
  app.get(
    '/:id/identities',
    {
      config: { permission: 'users:read' },
      schema: {
        operationId: 'listUserIdentities',
        summary: 'List the identities of a user',
        description: 'The accounts at identity providers that a user signs in with.',
        tags,
        ...problems(404),
        params: idParameter(2),
        response: listed
      }
    },
    async request => {
      const { id } = await userService.get(request.ctx, idOf(request))
      return { data: await listIdentities(request.ctx, id) }
    }
  )

  app.delete(
    '/:id/identities',
    {
      config: { permission: 'users:update' },
      schema: {
        operationId: 'unlinkUserIdentities',
        summary: 'Unlink the identities of a user',
        description:
          'Unlinks all accounts at identity providers, for example when a provider has given a ' +
          'person another one. Sessions go on; end them separately.',
        tags,
        ...problems(404),
        params: idParameter(2),
        response: emptyResponse(204)
      }
    },
    async (request, reply) => {
      await unlinkAll(request.ctx, idOf(request))
      return reply.code(204).send()
    }
  )
}

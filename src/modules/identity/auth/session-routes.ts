import type { FastifyInstance } from 'fastify'
import { problems } from '../../../core/http/operations.ts'
import { emptyResponse, idOf, idParameter, response } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { userService } from '../users/service.ts'
import { SessionList } from './schema.ts'
import { endSession, endSessions, sessionsOf } from './sessions.ts'

const listed = response(200, 'The open sessions.', Ref(SessionList))
const lastUse = 'At most 100, the most recently used first. Logins and refreshes count as use.'

/** One's own sessions, below `/api/auth`. */
export function mountSessions(app: FastifyInstance, tags: string[]): void {
  app.delete(
    '/sessions/:id',
    {
      config: { permission: 'me:write' },
      schema: {
        operationId: 'endSession',
        summary: 'End one of your sessions',
        description: 'Logs you out elsewhere: the tokens of the session are no longer accepted.',
        tags,
        ...problems(404),
        params: idParameter(2),
        response: emptyResponse(204)
      }
    },
    async (request, reply) => {
      await endSession(request.ctx, request.ctx.user_id!, idOf(request))
      return reply.code(204).send()
    }
  )

  app.get(
    '/sessions',
    {
      config: { permission: 'me:read' },
      schema: {
        operationId: 'listSessions',
        summary: 'List your sessions',
        description: `Where you are logged in. ${lastUse}`,
        tags,
        response: listed
      }
    },
    async ({ ctx }) => ({ data: await sessionsOf(ctx, ctx.user_id!) })
  )

  app.delete(
    '/sessions',
    {
      config: { permission: 'me:write' },
      schema: {
        operationId: 'endOtherSessions',
        summary: 'End your other sessions',
        description: 'Logs you out everywhere else. This session continues.',
        tags,
        response: emptyResponse(204)
      }
    },
    async ({ ctx }, reply) => {
      await endSessions(ctx, ctx.user_id!, { except: ctx.principal.session_id })
      return reply.code(204).send()
    }
  )
}

/** The sessions of a user, for admins, below `/api/users`. */
export function mountUserSessions(app: FastifyInstance, tags: string[]): void {
  app.get(
    '/:id/sessions',
    {
      config: { permission: 'users:read' },
      schema: {
        operationId: 'listUserSessions',
        summary: 'List the sessions of a user',
        description: `Where a user is logged in. ${lastUse}`,
        tags,
        ...problems(404),
        params: idParameter(2),
        response: listed
      }
    },
    async request => {
      const { id } = await userService.get(request.ctx, idOf(request))
      return { data: await sessionsOf(request.ctx, id) }
    }
  )

  app.delete(
    '/:id/sessions',
    {
      config: { permission: 'users:update' },
      schema: {
        operationId: 'endUserSessions',
        summary: 'End the sessions of a user',
        description: 'Logs a user out everywhere, without a change of the password.',
        tags,
        ...problems(404),
        params: idParameter(2),
        response: emptyResponse(204)
      }
    },
    async (request, reply) => {
      const { ctx } = request
      await userService.manage(ctx, idOf(request), async (ctx, { id }) => {
        await endSessions(ctx, id)
      })
      return reply.code(204).send()
    }
  )
}

import type { FastifyInstance } from 'fastify'
import { problems } from '../../../core/http/operations.ts'
import { emptyResponse, idOf, idParameter } from '../../../core/http/responses.ts'
import { secondFactorService } from './service.ts'

/** The second factors of users, for admins, below `/api/users`. */
export function mountUserSecondFactors(app: FastifyInstance, tags: string[]): void {
  app.delete(
    '/:id/second-factor',
    {
      config: { permission: 'users:update' },
      schema: {
        operationId: 'resetUserSecondFactor',
        summary: 'Reset the second factor of a user',
        description:
          'For a user who has lost the app and the recovery codes: logins require the password ' +
          'alone, until another second factor is enrolled.',
        tags,
        ...problems(404),
        params: idParameter(2),
        response: emptyResponse(204)
      }
    },
    async (request, reply) => {
      await secondFactorService.reset(request.ctx, idOf(request))
      return reply.code(204).send()
    }
  )
}

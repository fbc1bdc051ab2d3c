import type { FastifyPluginAsync } from 'fastify'
import { causes, problems } from '../../../core/http/operations.ts'
import { originOf } from '../../../core/http/origin.ts'
import { emptyResponse } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { PasswordReset, PasswordResetRequest } from './schema.ts'
import { passwordResetService } from './service.ts'

causes(['confirmPasswordReset'], 'user.updated')

const tags = ['auth']

/** Forgotten passwords, below `/api/auth`. */
const routes: FastifyPluginAsync = async app => {
  const { services } = app
  for (const schema of [PasswordResetRequest, PasswordReset]) app.addSchema(schema)

  app.post(
    '',
    {
      config: { public: true },
      schema: {
        operationId: 'requestPasswordReset',
        summary: 'Request a password reset',
        description:
          'Mails a token, valid for an hour, to the active users of an email address: at most ' +
          'five of them, and at most five mails to a user in an hour. The response is always the ' +
          'same: it does not tell whether there is such a user, or whether there have been too ' +
          'many requests (50 from an IP address in an hour). Where the server has no `SMTP_URL`, ' +
          'nothing is mailed: an admin sets the password of another user, and ' +
          '`npm run password` that of an admin.',
        tags,
        body: Ref(PasswordResetRequest),
        response: emptyResponse(202)
      }
    },
    async (request, reply) => {
      const body = request.body as typeof PasswordResetRequest.static
      await passwordResetService.request(services, body, request.ip)
      return reply.code(202).send()
    }
  )

  app.post(
    '/confirm',
    {
      config: { public: true },
      schema: {
        operationId: 'confirmPasswordReset',
        summary: 'Reset a password',
        description:
          'Sets a new password by the token of a mail, which works once. All sessions of the ' +
          'user end, and the limits of failed logins are lifted, unless the user has a second ' +
          'factor, which stays. Log in with the new password. ' +
          'A token that is unknown, expired or was used is a 422 at `/token`, as is one that ' +
          'was mailed before the last change of the password.',
        tags,
        ...problems(422),
        body: Ref(PasswordReset),
        response: emptyResponse(204)
      }
    },
    async (request, reply) => {
      const body = request.body as typeof PasswordReset.static
      await passwordResetService.confirm(services, body, originOf(request))
      return reply.code(204).send()
    }
  )
}

export default routes

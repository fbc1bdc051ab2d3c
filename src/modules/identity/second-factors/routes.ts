import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { causes, problems } from '../../../core/http/operations.ts'
import { emptyResponse, response } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import {
  RecoveryCodes,
  SecondFactor,
  SecondFactorConfirmation,
  SecondFactorEnrollment
} from './schema.ts'
import { secondFactorService } from './service.ts'

causes(['confirmSecondFactor', 'deleteSecondFactor'], 'user.updated')

const tags = ['auth']
const changing = { permission: 'me:write', stepUp: true }

/** One's own second factor, below `/api/auth`. */
const routes: FastifyPluginAsync = async app => {
  for (const schema of [
    SecondFactor,
    SecondFactorEnrollment,
    SecondFactorConfirmation,
    RecoveryCodes
  ])
    app.addSchema(schema)
  mountState(app)
  mountEnrollment(app)
  mountRecoveryCodes(app)
  mountRemoval(app)
}

function mountState(app: FastifyInstance): void {
  app.get(
    '',
    {
      config: { permission: 'me:read' },
      schema: {
        operationId: 'getSecondFactor',
        summary: 'Get your second factor',
        description:
          'Whether your logins require a code, and whether your organization requires that.',
        tags,
        response: response(200, 'The second factor.', Ref(SecondFactor))
      }
    },
    async ({ ctx }) => await secondFactorService.state(ctx)
  )
}

function mountEnrollment(app: FastifyInstance): void {
  app.post(
    '',
    {
      config: changing,
      schema: {
        operationId: 'enrollSecondFactor',
        summary: 'Enroll a second factor',
        description:
          'Returns a secret for an authenticator app (TOTP, RFC 6238). It takes effect ' +
          'once a code confirms it; until then, a second factor that you have stays the same.',
        tags,
        response: response(200, 'The secret.', Ref(SecondFactorEnrollment))
      }
    },
    async ({ ctx }) => await secondFactorService.enroll(ctx)
  )

  app.post(
    '/confirmation',
    {
      config: { permission: 'me:write' },
      schema: {
        operationId: 'confirmSecondFactor',
        summary: 'Confirm a second factor',
        description:
          'Requires a code at each login from now on, and returns ten recovery codes, once. A ' +
          'wrong code counts as a failed login; without an enrollment, it is a 409.',
        tags,
        ...problems(409, 422),
        body: Ref(SecondFactorConfirmation),
        response: response(200, 'The recovery codes.', Ref(RecoveryCodes))
      }
    },
    async ({ ctx, body, ip }) => {
      const { code } = body as typeof SecondFactorConfirmation.static
      return { recovery_codes: await secondFactorService.confirm(ctx, code, ip) }
    }
  )
}

function mountRecoveryCodes(app: FastifyInstance): void {
  app.post(
    '/recovery-codes',
    {
      config: changing,
      schema: {
        operationId: 'createRecoveryCodes',
        summary: 'Create new recovery codes',
        description:
          'Returns ten recovery codes, once. Earlier ones stop working. Without a second factor, ' +
          'it is a 409.',
        tags,
        ...problems(409),
        response: response(200, 'The recovery codes.', Ref(RecoveryCodes))
      }
    },
    async ({ ctx }) => ({ recovery_codes: await secondFactorService.renewRecoveryCodes(ctx) })
  )
}

function mountRemoval(app: FastifyInstance): void {
  app.delete(
    '',
    {
      config: changing,
      schema: {
        operationId: 'deleteSecondFactor',
        summary: 'Turn off your second factor',
        description:
          'Logins no longer require a code. The secret and recovery codes are deleted. If the ' +
          'organization requires a second factor, it is a 409.',
        tags,
        ...problems(409),
        response: emptyResponse(204)
      }
    },
    async ({ ctx }, reply) => {
      await secondFactorService.removeOwn(ctx)
      return reply.code(204).send()
    }
  )
}

export default routes

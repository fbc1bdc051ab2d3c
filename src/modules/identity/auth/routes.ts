import formbody from '@fastify/formbody'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import type { Origin } from '../../../core/access/principal.ts'
import { definePermission } from '../../../core/access/permissions.ts'
import { defined } from '../../../core/defined.ts'
import { causes, defineTag, problems } from '../../../core/http/operations.ts'
import { originOf } from '../../../core/http/origin.ts'
import { emptyResponse, response } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { invalid, Problem } from '../../../core/errors.ts'
import { accessToken, sessionOf } from './responses.ts'
import {
  Credentials,
  Me,
  OpenSession,
  PasswordChange,
  RefreshRequest,
  Session,
  SessionList,
  SessionUser,
  StepUp,
  SteppedUp,
  Token,
  TokenRequest
} from './schema.ts'
import { mountSessions } from './session-routes.ts'
import { authService, tokenLifetime, type Login } from './service.ts'

causes(['changePassword'], 'user.updated')

const tags = [
  defineTag(
    'auth',
    'Logins, sessions, second factors, invitations, password resets, and sign-ins with providers.'
  )
]
for (const permission of ['me:read', 'me:write']) definePermission(permission, 'session')

const routes: FastifyPluginAsyncTypebox = async app => {
  for (const schema of [
    Me,
    OpenSession,
    SessionList,
    SessionUser,
    Credentials,
    Session,
    RefreshRequest,
    StepUp,
    SteppedUp,
    TokenRequest,
    Token
  ])
    app.addSchema(schema)
  // in the order in which people try them
  mountMe(app)
  mountLogin(app)
  await app.register(mountToken)
  mountStepUp(app)
  mountSessions(app, tags)
}

function mountMe(app: FastifyInstance): void {
  app.get(
    '/me',
    {
      config: { permission: 'me:read' },
      schema: {
        operationId: 'getMe',
        summary: 'Get the current user',
        description: 'The user who is logged in, with their organization and permissions.',
        tags,
        response: response(200, 'The current user.', Ref(Me))
      }
    },
    async request => await authService.me(request.ctx)
  )
}

function mountLogin(app: FastifyInstance): void {
  const { services } = app

  app.post(
    '/login',
    {
      config: { public: true },
      schema: {
        operationId: 'login',
        summary: 'Log in',
        description:
          'Logs in with a username or email address and a password. After 20 failed logins to ' +
          'an account from one IP address, 100 to an account or 1000 from an address, further ' +
          'logins are refused for a while (429 with `Retry-After`). Where several organizations ' +
          'have a user of this name and password, the response is a 409 that lists them: send ' +
          'one as `organization`. For a user with a second factor, a correct password without a ' +
          'code is a 401, `second_factor_required`: send it again with `code`. A user who has to ' +
          'sign in with an identity provider gets a 403, `sign_in_enforced`.',
        tags,
        ...problems(401, 403, 409),
        body: Ref(Credentials),
        response: response(200, 'The session.', Ref(Session))
      }
    },
    async request => {
      const credentials = request.body as typeof Credentials.static
      return sessionOf(app, await authService.login(services, credentials, originOf(request)))
    }
  )

  app.post(
    '/refresh',
    {
      config: { public: true },
      schema: {
        operationId: 'refreshSession',
        summary: 'Refresh a session',
        description:
          'Returns a new access token and a new refresh token. A refresh token that is reused ' +
          'within ten seconds, by a second tab or after a lost response, returns the same new ' +
          'refresh token. Reusing it later ends the session, because it may have been stolen. ' +
          'A session ends 90 days after its login, unless the organization has set another limit.',
        tags,
        ...problems(401),
        body: Ref(RefreshRequest),
        response: response(200, 'The session.', Ref(Session))
      }
    },
    async request => {
      const { refresh_token } = request.body as typeof RefreshRequest.static
      return sessionOf(app, await authService.refresh(services, refresh_token, originOf(request)))
    }
  )
}

function mountStepUp(app: FastifyInstance): void {
  app.post(
    '/step-up',
    {
      config: { permission: 'me:write' },
      schema: {
        operationId: 'stepUp',
        summary: 'Confirm who you are',
        description:
          'Allows the session to do what requires a recent login (`x-step-up`), for ten minutes. ' +
          'Requires the password and, with a second factor, a code: without a correct one, it is ' +
          'a 422, `second_factor_required` or `second_factor_invalid`. Failures count as failed ' +
          'logins. Users without a password sign in again instead.',
        tags,
        ...problems(422),
        body: Ref(StepUp),
        response: response(200, 'Until when it counts.', Ref(SteppedUp))
      }
    },
    async request => {
      const proof = request.body as typeof StepUp.static
      return await authService.stepUp(request.ctx, proof, originOf(request))
    }
  )
}

/** The OAuth 2 password flow, for Swagger UI's Authorize dialog and for OAuth libraries. */
async function mountToken(app: FastifyInstance): Promise<void> {
  await app.register(formbody)
  app.post(
    '/token',
    {
      config: { public: true },
      schema: {
        operationId: 'createToken',
        summary: 'Log in with OAuth 2',
        description:
          'The password and refresh_token grants of RFC 6749, sent as a form. The Authorize ' +
          'dialog on this page uses it. It has no field for the `code` of a second factor: with ' +
          'one, use `POST /api/auth/login`, and paste the token into the dialog.',
        tags,
        consumes: ['application/x-www-form-urlencoded'],
        body: Ref(TokenRequest),
        response: response(200, 'The token.', Ref(Token))
      }
    },
    async request => {
      const body = request.body as typeof TokenRequest.static
      const login = await grant(app, body, originOf(request)).catch((error: unknown) => {
        throw asOAuthError(error)
      })
      return {
        access_token: accessToken(app, login),
        token_type: 'bearer',
        expires_in: tokenLifetime,
        refresh_token: login.refresh_token
      }
    }
  )
}

async function grant(
  { services }: FastifyInstance,
  { grant_type, username, password, refresh_token, code, organization }: typeof TokenRequest.static,
  origin: Origin
): Promise<Login> {
  if (grant_type === 'refresh_token' && refresh_token !== undefined)
    return await authService.refresh(services, refresh_token, origin)
  if (grant_type === 'password' && username !== undefined && password !== undefined)
    return await authService.login(
      services,
      { username, password, ...defined({ code, organization }) },
      origin
    )
  const required = { password: { username, password }, refresh_token: { refresh_token } }
  const [missing] = Object.entries(required[grant_type]).find(([, value]) => value === undefined)!
  throw invalid([
    {
      pointer: `/${missing}`,
      code: 'required',
      detail: `${missing} is required for grant_type ${grant_type}`
    }
  ])
}

/** RFC 6749 §5.2: a refused grant is 400 `invalid_grant`; the rest of the problem is unchanged. */
function asOAuthError(error: unknown): unknown {
  if (!(error instanceof Problem)) return error
  const { status, code, detail, extra } = error
  const isRefused = status === 401 || status === 403
  const members = {
    error: isRefused ? 'invalid_grant' : 'invalid_request',
    error_description: detail
  }
  return new Problem(isRefused ? 400 : status, code, detail, {
    ...(isRefused ? {} : extra),
    members: { ...extra.members, ...members }
  })
}

/** What ends the session; in the document, it comes after all else that is about logins. */
export const endOfSessionRoutes: FastifyPluginAsync = async app => {
  app.addSchema(PasswordChange)

  app.post(
    '/change-password',
    {
      config: { permission: 'me:write' },
      schema: {
        operationId: 'changePassword',
        summary: 'Change your password',
        description:
          'Changes your password, ends all of your sessions, including this one, and returns a ' +
          'new session. Continue with its tokens.',
        tags,
        ...problems(422),
        body: Ref(PasswordChange),
        response: response(200, 'The new session.', Ref(Session))
      }
    },
    async request => {
      const { current_password, new_password } = request.body as typeof PasswordChange.static
      const { ctx } = request
      const origin = originOf(request)
      const login = await authService.changePassword(ctx, current_password, new_password, origin)
      return sessionOf(app, login)
    }
  )

  app.post(
    '/logout',
    {
      config: { permission: 'me:write' },
      schema: {
        operationId: 'logout',
        summary: 'Log out',
        description: 'Ends the session. Its tokens are no longer accepted.',
        tags,
        response: emptyResponse(204)
      }
    },
    async (request, reply) => {
      await authService.logout(request.ctx)
      return reply.code(204).send()
    }
  )
}

export default routes

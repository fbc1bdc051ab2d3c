import formbody from '@fastify/formbody'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { randomUUID } from 'node:crypto'
import { invalid, Problem } from '../../../core/errors.ts'
import { Ref } from '../../../core/http/schema.ts'
import {
  Credentials,
  Me,
  PasswordChange,
  RefreshRequest,
  Session,
  Token,
  TokenRequest
} from './schema.ts'
import * as auth from './service.ts'

const answer = (description: string, schema: object) => ({
  200: { description, content: { 'application/json': { schema } } }
})
const route = (operationId: string, summary: string, description: string, rest: object) => ({
  operationId,
  summary,
  description,
  tags: ['auth'],
  ...rest
})

const routes: FastifyPluginAsyncTypebox = async app => {
  for (const schema of [
    Me,
    Credentials,
    Session,
    RefreshRequest,
    PasswordChange,
    TokenRequest,
    Token
  ])
    app.addSchema(schema)
  const { services } = app

  const accessToken = ({ session_id, user }: auth.Login) =>
    app.jwt.sign({ sub: String(user.id), sid: session_id, jti: randomUUID() })
  const session = (login: auth.Login) => ({
    token: accessToken(login),
    refresh_token: login.refresh_token,
    expires_in: auth.tokenLifetime,
    user: login.user
  })

  // in the order in which somebody tries them: what ends the session comes last
  app.get(
    '/me',
    {
      config: { permission: 'me:read' },
      schema: route('getMe', 'Who am I?', 'The user who is logged in.', {
        response: answer('You.', Ref(Me))
      })
    },
    async request => await auth.me(request.ctx)
  )

  app.post(
    '/login',
    {
      config: { public: true },
      schema: route(
        'login',
        'Log in',
        'Takes a user name or an e-mail, and a password. After 20 failures an account waits up to 15 minutes (429, `Retry-After`), after 100 an address.',
        { body: Ref(Credentials), response: answer('A session.', Ref(Session)) }
      )
    },
    async request => {
      const { username, password } = request.body as typeof Credentials.static
      return session(await auth.login(services, username, password, request.ip))
    }
  )

  app.post(
    '/refresh',
    {
      config: { public: true },
      schema: route(
        'refreshSession',
        'Refresh a session',
        'Gives a new access token and a new refresh token. A refresh token used again within ten seconds, by a second tab or after a lost answer, gives another one; used again later it ends the session, for it may be in two hands. A session also ends after 30 days without a refresh.',
        { body: Ref(RefreshRequest), response: answer('The session.', Ref(Session)) }
      )
    },
    async request =>
      session(
        await auth.refresh(services, (request.body as typeof RefreshRequest.static).refresh_token)
      )
  )

  /** The OAuth 2 password flow, for Swagger UI's Authorize dialog and for libraries that speak nothing else. */
  await app.register(async app => {
    await app.register(formbody)
    app.post(
      '/token',
      {
        config: { public: true },
        schema: route(
          'createToken',
          'Log in by OAuth 2',
          'The password and refresh_token grants of RFC 6749, as a form. Also what Authorize uses here.',
          {
            consumes: ['application/x-www-form-urlencoded'],
            body: Ref(TokenRequest),
            response: answer('A token.', Ref(Token))
          }
        )
      },
      async request => {
        const login = await grant(request.body as typeof TokenRequest.static, request.ip).catch(
          (error: unknown) => {
            throw inOAuth(error)
          }
        )
        return {
          access_token: accessToken(login),
          token_type: 'bearer',
          expires_in: auth.tokenLifetime,
          refresh_token: login.refresh_token
        }
      }
    )
  })

  app.post(
    '/change-password',
    {
      config: { permission: 'me:write' },
      schema: route(
        'changePassword',
        'Change your password',
        'Ends all of your sessions, this one as well, and answers with a new one: go on with its tokens.',
        { body: Ref(PasswordChange), response: answer('The new session.', Ref(Session)) }
      )
    },
    async request => {
      const { current_password, new_password } = request.body as typeof PasswordChange.static
      return session(
        await auth.changePassword(request.ctx, current_password, new_password, request.ip)
      )
    }
  )

  app.post(
    '/logout',
    {
      config: { permission: 'me:write' },
      schema: route(
        'logout',
        'Log out',
        'Ends the session: its tokens are refused from the next request on.',
        { response: { 204: Type.Null({ description: 'The session is over.' }) } }
      )
    },
    async (request, reply) => {
      await auth.logout(request.ctx)
      return reply.code(204).send()
    }
  )

  async function grant(
    { grant_type, username, password, refresh_token }: typeof TokenRequest.static,
    address: string
  ): Promise<auth.Login> {
    if (grant_type === 'refresh_token' && refresh_token !== undefined)
      return await auth.refresh(services, refresh_token)
    if (grant_type === 'password' && username !== undefined && password !== undefined)
      return await auth.login(services, username, password, address)
    const missing =
      grant_type === 'password'
        ? username === undefined
          ? 'username'
          : 'password'
        : 'refresh_token'
    throw invalid([
      {
        pointer: `/${missing}`,
        code: 'required',
        detail: `${missing} is required with grant_type ${grant_type}`
      }
    ])
  }
}

/** RFC 6749 §5.2: a refused grant is 400 `invalid_grant`; the rest of the problem stays as it is. */
function inOAuth(error: unknown): unknown {
  if (!(error instanceof Problem)) return error
  const refused = error.status === 401
  return new Problem(refused ? 400 : error.status, error.code, error.detail, {
    ...(!refused && error.extra),
    members: {
      error: refused ? 'invalid_grant' : 'invalid_request',
      error_description: error.detail
    }
  })
}

export default routes

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { newToken } from '../../../core/access/tokens.ts'
import { originOf } from '../../../core/http/origin.ts'
import { problems } from '../../../core/http/operations.ts'
import { emptyResponse } from '../../../core/http/responses.ts'
import { refusals } from './refusals.ts'
import { CallbackPath, CallbackQuery, OrganizationPath, StartQuery } from './schema.ts'
import { redirectUri, signInService, type Redirect, type Settings } from './service.ts'

/** Seconds that a user may take at the provider. */
const cookieAge = 600
const errors = Object.keys(refusals)
  .map(code => `\`${code}\``)
  .join(', ')

/** What browsers visit: to the provider, and back from it. */
export const pages: FastifyPluginAsyncTypebox<Settings> = async (app, settings) => {
  const { services } = app
  const { public_url } = settings
  const basePath = new URL(public_url).pathname.replace(/\/+$/, '')

  app.get(
    '/sign-in/:organization',
    {
      config: { public: true },
      schema: {
        operationId: 'startSignIn',
        summary: 'Sign in with a provider',
        description:
          'A page for browsers: it redirects to the provider, which sends the user back to ' +
          '`return_to`, with a `sign_in_code` for the next operation, or an `error`, one of ' +
          `${errors}. The sign-in must end in the same browser, within ten minutes.`,
        tags: ['auth'],
        ...problems(404),
        params: OrganizationPath,
        querystring: StartQuery,
        response: emptyResponse(302, 'Location')
      }
    },
    async (request, reply) => {
      const { params, query } = request
      const browser = browserOf(request) ?? newToken()
      const cookie = [
        `${cookieName}=${browser}; Path=${basePath}/api/auth/sign-in; Max-Age=${cookieAge}`,
        'HttpOnly; SameSite=Lax',
        ...(public_url.startsWith('https:') ? ['Secure'] : [])
      ]
      reply.header('set-cookie', cookie.join('; '))
      const { organization } = params
      return redirect(
        request,
        reply,
        await signInService.start(services, settings, organization, query, browser)
      )
    }
  )

  // where providers send users: no operation for a client
  app.get(
    '/sign-in/:organization/callback/:provider_id',
    {
      config: { public: true },
      schema: { hide: true, params: CallbackPath, querystring: CallbackQuery }
    },
    async (request, reply) => {
      const { organization, provider_id } = request.params
      const url = new URL(redirectUri(public_url, organization, provider_id))
      url.search = request.url.replace(/^[^?]*/, '')
      const { state } = request.query
      const given = { state, browser: browserOf(request) ?? '', url, origin: originOf(request) }
      return redirect(request, reply, await signInService.finish(services, provider_id, given))
    }
  )
}

const cookieName = 'smartx_sign_in'

/** The secret of the browser. All its sign-ins have the same, so that tabs do not interfere. */
const browserOf = ({ headers }: FastifyRequest): string | undefined =>
  /(?:^|; *)smartx_sign_in=([\w-]{43})(?:;|$)/.exec(headers.cookie ?? '')?.[1]

/** Sends a browser on, and notes why a sign-in has failed. */
function redirect(request: FastifyRequest, reply: FastifyReply, { location, refusal }: Redirect) {
  if (refusal) {
    const { code, reason, cause } = refusal
    if (code === 'server_error')
      request.log.error({ request_id: request.id, err: cause }, 'sign-in failed')
    else request.log.warn({ request_id: request.id, error: code, reason }, 'sign-in refused')
  }
  return reply.code(302).header('location', location).send()
}

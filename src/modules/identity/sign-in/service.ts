import type { Static } from '@sinclair/typebox'
import { createHash } from 'node:crypto'
import { Context } from '../../../core/access/context.ts'
import type { Origin } from '../../../core/access/principal.ts'
import type { Services } from '../../../core/services.ts'
import { hashOf, newToken, unusableToken } from '../../../core/access/tokens.ts'
import { rowsOf } from '../../../core/db/sql.ts'
import { invalidParameter, notFound, Problem } from '../../../core/errors.ts'
import { recordAccess } from '../../../core/records/events.ts'
import { startSession, type Login } from '../auth/service.ts'
import { userOf } from './accounts.ts'
import { authorizationUrl, claimsOf } from './openid.ts'
import { personOf } from './people.ts'
import {
  findProvider,
  findProviders,
  insertCode,
  insertSignIn,
  takeCode,
  takeSignIn,
  type Started
} from './queries.ts'
import { SignInRefused } from './refusals.ts'
import type { CodeExchange, StartQuery } from './schema.ts'

/** What the operator has set. */
export interface Settings {
  /** Where clients reach the API. */
  public_url: string
  /** Origins of front ends, to which users return. */
  origins: string[]
}

/** Where a browser is sent next; with an error if the sign-in has failed. */
export interface Redirect {
  location: string
  refusal?: SignInRefused
}

/** Where a provider sends users. Each has its own: a code of one is never sent to another. */
export const redirectUri = (public_url: string, slug: string, provider_id: number): string =>
  `${public_url.replace(/\/+$/, '')}/api/auth/sign-in/${slug}/callback/${provider_id}`

export const signInService = {
  /** The providers that the users of an organization can sign in with; none for an unknown slug. */
  async providers(services: Services, slug: string): Promise<{ id: number; name: string }[]> {
    const providers = await findProviders(services, slug)
    return providers.map(({ id, name }) => ({ id, name }))
  },

  /**
   * Sends a browser to a provider, by default the first one. `browser`: a secret of the browser, in
   * which the sign-in must end. Errors: 400 for a `return_to` elsewhere, 404.
   */
  async start(
    services: Services,
    settings: Settings,
    slug: string,
    { provider_id, return_to, code_challenge }: Static<typeof StartQuery>,
    browser: string
  ): Promise<Redirect> {
    assertReturn(settings, return_to)
    const providers = await findProviders(services, slug)
    const provider = providers.find(({ id }) => id === (provider_id ?? id))
    if (!provider) throw notFound('organization or identity provider')
    const { organization_id, id } = provider
    const state = newToken()
    const started = { organization_id, provider_id: id, return_to, code_challenge }
    return await returning(return_to, async () => {
      const redirect_uri = redirectUri(settings.public_url, slug, id)
      const location = await authorizationUrl(services, provider, { state, redirect_uri })
      const { database } = services
      await rowsOf(database, database.pool, insertSignIn(started, hashOf(state), hashOf(browser)))
      return location
    })
  },

  /**
   * Ends a sign-in at the provider, and sends the browser back to the front end with a one-time
   * code. `url`: the redirect URI with what the provider has added. Errors: 400 for a sign-in that
   * this browser has not begun with this provider, that is too old or has ended: there is nowhere
   * to go.
   */
  async finish(
    services: Services,
    provider_id: number,
    { state, browser, url, origin }: { state: string; browser: string; url: URL; origin: Origin }
  ): Promise<Redirect> {
    const { database } = services
    const [started] = await rowsOf<Started>(
      database,
      database.pool,
      takeSignIn(hashOf(state), hashOf(browser), provider_id)
    )
    if (!started)
      throw invalidParameter(
        'state',
        'The sign-in is unknown in this browser, has ended or took too long. Start again.'
      )
    const { organization_id, return_to } = started
    const ctx = Context.system(services, organization_id, null, origin)
    const outcome = await returning(return_to, async () => {
      const provider = await findProvider(services, organization_id, provider_id)
      if (!provider) throw new SignInRefused('provider_changed')
      const person = personOf(provider, await claimsOf(services, provider, { state, url }))
      const user_id = await userOf(ctx, provider, person)
      const code = newToken()
      const added = await ctx.write([], insertCode(started, provider, user_id, hashOf(code)))
      if (added.length === 0) throw new SignInRefused('provider_changed')
      return withParameter(return_to, 'sign_in_code', code)
    })
    if (!outcome.refusal) return outcome
    const subject = { type: 'identity_provider', id: provider_id }
    try {
      await recordAccess(ctx, 'login.failed', { reason: outcome.refusal.code }, subject)
      return outcome
    } catch (error) {
      return { ...outcome, refusal: failureOf(error) } // for the log
    }
  },

  /**
   * Exchanges a one-time code for a session. Errors: 422 for one that is unknown, too old, used, of
   * another front end, or of a user or a provider who has been disabled since; 503.
   */
  async exchange(
    services: Services,
    { sign_in_code, code_verifier }: Static<typeof CodeExchange>,
    origin: Origin
  ): Promise<Login> {
    const code_challenge = createHash('sha256').update(code_verifier).digest('base64url')
    const credentials = await takeCode(services, hashOf(sign_in_code), code_challenge)
    if (!credentials) throw unusableToken('sign_in_code')
    const { provider_id } = credentials
    const login = await startSession(services, credentials, origin, { provider_id })
    if (!login) throw unusableToken('sign_in_code')
    return login
  }
}

/** Errors: 400 unless a URL is one of a front end, or of this server. */
function assertReturn({ public_url, origins }: Settings, return_to: string): void {
  const allowed = [...origins, new URL(public_url).origin]
  const url = URL.parse(return_to)
  // not by its origin: `blob:` has that of another URL, and credentials are no part of it
  if (!url || !allowed.some(origin => url.href.startsWith(`${origin}/`)))
    throw invalidParameter(
      'return_to',
      '`return_to` must be a URL at PUBLIC_URL or one of CORS_ORIGINS.'
    )
}

/** Where a browser is sent: by `work`, or back with the reason for which that has failed. */
async function returning(return_to: string, work: () => Promise<string>): Promise<Redirect> {
  try {
    return { location: await work() }
  } catch (error) {
    const refusal = error instanceof SignInRefused ? error : failureOf(error)
    return { location: withParameter(return_to, 'error', refusal.code), refusal }
  }
}

/** What went wrong on this side. */
const failureOf = (error: unknown) =>
  new SignInRefused(
    error instanceof Problem && error.status === 503 ? 'temporarily_unavailable' : 'server_error',
    error
  )

/** A URL with a result of the sign-in in place of those it may have had. */
function withParameter(text: string, name: 'sign_in_code' | 'error', value: string): string {
  const url = new URL(text)
  for (const one of ['sign_in_code', 'error']) url.searchParams.delete(one)
  url.searchParams.set(name, value)
  return url.href
}

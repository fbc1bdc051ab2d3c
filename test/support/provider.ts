// A real provider of OpenID Connect, whose answers a test can forge.
import { randomBytes } from 'node:crypto'
import { createHash } from 'node:crypto'
import { OAuth2Server, type MutableToken } from 'oauth2-mock-server'
import type { Test } from 'tap'
import type { App, Call } from './app.ts'

/** Where the front end of the tests is. */
export const frontEnd = 'https://app.example.com'
/** Settings of an application that may ask the providers of the tests. */
export const settings = { cors_origins: [frontEnd], outbound_networks: ['127.0.0.0/8', '::1'] }

type Claims = Record<string, unknown>

/**
 * A provider, until the end of the test. `claims`: of the person who signs in next; `forge`:
 * changes the next ID token before it is signed; `requests`: what it was asked, as `POST /token`.
 */
export async function provider(t: Test) {
  const server = new OAuth2Server()
  await server.issuer.keys.generate('RS256')
  await server.start(0, '127.0.0.1')
  t.teardown(async () => {
    if (server.listening) await server.stop()
  })
  const state = {
    server,
    issuer: server.issuer.url!,
    claims: {} as Claims,
    /** What the userinfo endpoint says besides the subject. */
    userinfo: {} as Claims,
    forge: undefined as ((token: MutableToken) => void) | undefined,
    /** Replaces the ID token of the next response. */
    replace: undefined as ((token: string) => string) | undefined,
    /** The bodies of the requests for tokens. */
    requests: [] as { authorization?: string | undefined; body: Claims }[]
  }
  server.service.on('beforeTokenSigning', (token: MutableToken) => {
    Object.assign(token.payload, state.claims)
    if (token.payload.aud !== undefined) state.forge?.(token)
  })
  server.service.on('beforeUserinfo', ({ body }: { body: Claims }) => {
    Object.assign(body, { sub: state.claims.sub }, state.userinfo)
  })
  server.service.on('beforeResponse', (response: { body: Claims }, request) => {
    const { headers, body } = request as { headers: Claims; body: Claims }
    state.requests.push({ authorization: headers.authorization as string, body })
    if (state.replace) response.body.id_token = state.replace(String(response.body.id_token))
  })
  return state
}

export type Provider = Awaited<ReturnType<typeof provider>>

/** The secret of the provider's client, which nothing may show. */
export const clientSecret = 'zqsecret of the client'

/** Sets up a provider in an organization. */
export async function setUp(call: Call, { issuer }: Provider, more: object = {}): Promise<number> {
  const created = await call('POST /api/identity-providers', {
    name: `Provider ${randomBytes(4).toString('hex')}`,
    issuer,
    client_id: 'smartx-crm',
    client_secret: clientSecret,
    allowed_domains: ['example.com'],
    default_role_id: await roleNamed(call, 'user'),
    ...more
  })
  if (created.statusCode !== 201) throw new Error(created.body)
  return created.json<{ id: number }>().id
}

export const roleNamed = async (call: Call, name: string): Promise<number> =>
  (await call('GET /api/roles?sort=id'))
    .json<{ data: { id: number; name: string }[] }>()
    .data.find(role => role.name === name)!.id

const challengeOf = (verifier: string) => createHash('sha256').update(verifier).digest('base64url')

/** A browser with a front end: it keeps cookies and the code verifier. */
export function browser(app: App, return_to = `${frontEnd}/signed-in?tab=1`) {
  const verifier = randomBytes(32).toString('base64url')
  let cookie: string | undefined
  const get = async (url: string) => {
    const answer = await app.inject({ method: 'GET', url, headers: cookie ? { cookie } : {} })
    const set = answer.headers['set-cookie']
    if (typeof set === 'string') cookie = set.split(';', 1)[0]
    return answer
  }
  const self = {
    verifier,
    get cookie() {
      return cookie
    },
    get,
    /** Begins a sign-in. Returns the response. */
    async start(slug: string, more: Record<string, string> = {}) {
      const query = { return_to, code_challenge: challengeOf(verifier), ...more }
      return await get(`/api/auth/sign-in/${slug}?${new URLSearchParams(query).toString()}`)
    },
    /** Begins a sign-in and follows it to the provider. Returns the path of the callback. */
    async visit(slug: string, more: Record<string, string> = {}): Promise<string> {
      const { statusCode, headers, body } = await self.start(slug, more)
      if (statusCode !== 302) throw new Error(body)
      const answer = await fetch(String(headers.location), { redirect: 'manual' })
      const { pathname, search } = new URL(answer.headers.get('location')!)
      return pathname + search
    },
    /** Signs in as far as the front end, and returns the parameters that it gets. */
    async arrive(slug: string, more: Record<string, string> = {}): Promise<Record<string, string>> {
      return parametersOf(await get(await self.visit(slug, more)))
    },
    /** Exchanges a one-time code. */
    exchange: async (sign_in_code: string, code_verifier = verifier) =>
      await app.inject({
        method: 'POST',
        url: '/api/auth/sign-in/exchange',
        payload: { sign_in_code, code_verifier }
      }),
    /** Signs in. Returns the session. Errors: if that is refused. */
    async signIn(slug: string, more: Record<string, string> = {}) {
      const parameters = await self.arrive(slug, more)
      if (!parameters.sign_in_code) throw new Error(JSON.stringify(parameters))
      const answer = await self.exchange(parameters.sign_in_code)
      if (answer.statusCode !== 200) throw new Error(answer.body)
      return answer.json<{ token: string; user: { id: number; username: string; role: string } }>()
    }
  }
  return self
}

/** What a front end gets in its URL. Errors: for a response that is no redirect to it. */
export function parametersOf(answer: {
  statusCode: number
  headers: Record<string, unknown>
  body: string
}): Record<string, string> {
  const location = String(answer.headers.location)
  if (answer.statusCode !== 302 || !location.startsWith(`${frontEnd}/`))
    throw new Error(`${answer.statusCode} ${location} ${answer.body}`)
  return Object.fromEntries(new URL(location).searchParams)
}

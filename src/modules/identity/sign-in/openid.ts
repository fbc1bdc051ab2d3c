import { LRUCache } from 'lru-cache'
import { createHmac } from 'node:crypto'
import * as openid from 'openid-client'
import type { Services } from '../../../core/services.ts'
import type { Outbound } from '../../../core/outbound.ts'
import { openSecret } from '../identity-providers/secret.ts'
import type { Provider } from './queries.ts'
import { SignInRefused } from './refusals.ts'

/** What is needed to speak with a provider. */
export type Client = Pick<Provider, 'organization_id' | 'issuer' | 'client_id' | 'encrypted_secret'>

/** Seconds that clocks may differ. */
const clockTolerance = 30
/** Seconds for a request; the whole sign-in makes up to four. */
const timeout = 5

/** By the encrypted secret, which each client has its own of. */
const known = new WeakMap<Outbound, LRUCache<string, Promise<openid.Configuration>>>()
const minutesKnown = 10
/** Milliseconds for which a failure is known: strangers start sign-ins. */
const failureKnown = 5_000

/** Finds the endpoints of a provider. Errors: of the network; of a provider that cannot be used. */
export async function discover(services: Services, client: Client): Promise<openid.Configuration> {
  const { outbound } = services
  const { issuer, client_id, encrypted_secret } = client
  const server = new URL(issuer)
  const isPlain = server.protocol === 'http:' // `outbound` decides to whom
  const config = await openid.discovery(
    server,
    client_id,
    { [openid.clockTolerance]: clockTolerance },
    authenticatedBy(openSecret(services, client, encrypted_secret)),
    {
      [openid.customFetch]: outbound.fetch,
      timeout,
      execute: [
        openid.enableNonRepudiationChecks,
        ...(isPlain ? [openid.allowInsecureRequests] : [])
      ]
    }
  )
  const metadata = config.serverMetadata()
  // the library makes exceptions for providers that speak for many organizations
  if (new URL(metadata.issuer).href !== server.href)
    throw new Error('The provider names itself by another issuer.')
  for (const name of ['authorization_endpoint', 'token_endpoint', 'jwks_uri'] as const)
    if (metadata[name] === undefined) throw new Error(`The provider has no ${name}.`)
  openid.buildAuthorizationUrl(config, {}) // throws for an endpoint that is no https URL
  return config
}

/**
 * In the form, unless the provider only takes Basic, for which some do not decode the ID and the
 * secret (RFC 6749 §2.3.1).
 */
const authenticatedBy =
  (secret: string): openid.ClientAuth =>
  (server, ...request) => {
    const offered = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic']
    const isBasic =
      offered.includes('client_secret_basic') && !offered.includes('client_secret_post')
    const method = isBasic ? openid.ClientSecretBasic : openid.ClientSecretPost
    method(secret)(server, ...request)
  }

/** The same, known for some minutes. Errors: `SignInRefused`. */
async function configurationOf(services: Services, client: Client): Promise<openid.Configuration> {
  const { outbound } = services
  const all = known.get(outbound) ?? new LRUCache({ max: 500, ttl: minutesKnown * 60_000 })
  known.set(outbound, all)
  const found = all.get(client.encrypted_secret)
  const config = found ?? discover(services, client)
  if (!found) all.set(client.encrypted_secret, config)
  try {
    return await config
  } catch (error) {
    if (!found) all.set(client.encrypted_secret, config, { ttl: failureKnown })
    throw new SignInRefused('provider_unavailable', error)
  }
}

/** What only who knows the state can know; it is stored nowhere. */
const derived = ({ keyFor }: Services, purpose: string, state: string) =>
  createHmac('sha256', keyFor(`sign-in ${purpose}`))
    .update(state)
    .digest('base64url')

/** The page of the provider on which a user signs in. Errors: `SignInRefused`. */
export async function authorizationUrl(
  services: Services,
  provider: Provider,
  { state, redirect_uri }: { state: string; redirect_uri: string }
): Promise<string> {
  const config = await configurationOf(services, provider)
  return openid.buildAuthorizationUrl(config, {
    redirect_uri,
    scope: ['openid', 'email', 'profile', ...provider.scopes].join(' '),
    state,
    nonce: derived(services, 'nonce', state),
    code_challenge: await openid.calculatePKCECodeChallenge(derived(services, 'verifier', state)),
    code_challenge_method: 'S256'
  }).href
}

/** What a provider says about a user. */
export type Claims = Record<string, unknown> & { sub: string }

/**
 * Exchanges the code in `url`, to which the provider has sent the user, for what it says about
 * them. What the ID token lacks comes from the userinfo endpoint. Errors: `SignInRefused`.
 */
export async function claimsOf(
  services: Services,
  provider: Provider,
  { state, url }: { state: string; url: URL }
): Promise<Claims> {
  const config = await configurationOf(services, provider)
  try {
    const tokens = await openid.authorizationCodeGrant(config, url, {
      expectedState: state,
      expectedNonce: derived(services, 'nonce', state),
      pkceCodeVerifier: derived(services, 'verifier', state),
      idTokenExpected: true
    })
    const claims = tokens.claims()!
    const isComplete = ['email', provider.role_claim].every(name => isClaimed(claims, name))
    if (isComplete || config.serverMetadata().userinfo_endpoint === undefined) return claims
    const more = await openid.fetchUserInfo(config, tokens.access_token, claims.sub)
    return { ...more, ...claims }
  } catch (error) {
    throw new SignInRefused(codeOf(error), error)
  }
}

/** Whether there is a claim, or the object that it would be in. */
const isClaimed = (claims: object, name: string | null) =>
  name === null || [name, ...name.split('.', 1)].some(one => one in claims)

/** What the front end is told of a failure. */
function codeOf(error: unknown): SignInRefused['code'] {
  if (error instanceof openid.AuthorizationResponseError)
    return error.error === 'access_denied' ? 'access_denied' : 'provider_error'
  if (error instanceof openid.ResponseBodyError) return 'provider_error'
  if (error instanceof openid.WWWAuthenticateChallengeError) return 'provider_error'
  // the network, or the time limit; a response that was wrong has another code
  const code = error instanceof openid.ClientError ? error.code : undefined
  return code === undefined || code === 'OAUTH_TIMEOUT'
    ? 'provider_unavailable'
    : 'invalid_response'
}

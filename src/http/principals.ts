import { LRUCache } from 'lru-cache'
import { hash } from 'node:crypto'
import { accessKey } from '../core/access/context.ts'
import type { Principal } from '../core/access/principal.ts'
import type { Services } from '../core/services.ts'
import { unauthenticated } from '../core/errors.ts'
import { tokenPrefix } from '../modules/identity/api-tokens/secret.ts'
import { authService } from '../modules/identity/auth/service.ts'

/**
 * A verified credential: whose it is, until when, in milliseconds since 1970, and the networks that
 * it works from; undefined: all.
 */
export interface Credential {
  principal: Principal
  expires_at: number
  networks?: string[]
}

/** The claims of an access token that matter here. */
export interface Claims {
  sid: number
  exp: number
}

/**
 * Milliseconds for which a principal is trusted without asking Postgres: they limit the delay of a
 * revocation whose message was lost.
 */
const trustTime = 5_000

export const expiredToken = () =>
  unauthenticated('The token has expired. Refresh the session.', 'token_expired')

/** Keys whose invalidation may change what a credential allows. */
const concerns = /^session\/|\/(user|api_token)\/|\/access$/

/** RFC 6750 §2.1: nothing follows the token. */
const bearerToken = /^Bearer ([\w~+/.-]+=*)$/i
const tokenIn = (header: string) => bearerToken.exec(header)?.[1]
const keyOf = (token: string) => hash('sha256', token)

/** The keys whose invalidation may change what a credential allows; see `concerns`. */
const keysOf = ({ principal }: Credential): string[] => {
  const { session_id, organization_id, user_id, token } = principal
  return [
    token ? `${organization_id}/api_token/${token.id}` : `session/${session_id}`,
    `${organization_id}/user/${user_id}`,
    accessKey(organization_id)
  ]
}

/**
 * The principals of credentials, by the hash of the token, which itself is not kept. A write to
 * what they depend on makes it forget them: in this process before the write is answered, in others
 * within milliseconds, by Redis or by a notification of Postgres.
 */
export class Principals {
  readonly #services: Services
  readonly #verify: (token: string) => Claims
  readonly #known = new LRUCache<string, Credential>({
    max: 10_000,
    ttl: trustTime,
    ttlResolution: 100,
    dispose: (credential, known) => {
      this.#unlist(known, credential)
    }
  })
  /** The known credentials by the keys whose invalidation concerns them. */
  readonly #byKey = new Map<string, Set<string>>()
  #invalidations = 0
  #isTrusted = true

  /** `verify` returns the claims of a token, or throws an error of fast-jwt. */
  constructor(services: Services, verify: (token: string) => Claims) {
    this.#services = services
    this.#verify = verify
    services.cache.onInvalidation(key => {
      this.#forget(key)
    })
  }

  /** Has the rights of an organization's users looked up again. */
  forgetOrganization(organization_id: number): void {
    this.#forget(accessKey(organization_id))
  }

  /** Has all rights looked up again: for every request, until they are trusted again. */
  distrust(): void {
    this.#isTrusted = false
    this.#forget(undefined)
  }

  trust(): void {
    this.#forget(undefined)
    this.#isTrusted = true
  }

  /** The credential in a header, if it is known. */
  peek(header: string): Credential | undefined {
    if (!this.#isTrusted) return undefined
    const token = tokenIn(header)
    return token === undefined ? undefined : this.#known.get(keyOf(token))
  }

  /** The credential in a header. Errors: 401. */
  async identify(header: string): Promise<Credential> {
    const token = tokenIn(header)
    if (token === undefined)
      throw unauthenticated('Send the token as "Authorization: Bearer <token>".')
    const invalidations = this.#invalidations
    const credential = token.startsWith(tokenPrefix)
      ? await this.#findToken(token)
      : await this.#findSession(token)
    // the query may not have seen a logout that happened meanwhile
    if (invalidations === this.#invalidations) this.#remember(keyOf(token), credential)
    return credential
  }

  async #findSession(token: string): Promise<Credential> {
    const { sid, exp } = this.#claimsOf(token)
    const principal = await authService.principalOf(this.#services, sid)
    if (!principal) throw unauthenticated('The session has ended. Log in again.', 'session_ended')
    return { principal, expires_at: exp * 1000 }
  }

  async #findToken(token: string): Promise<Credential> {
    const found = await authService.findToken(this.#services, token)
    if (!found)
      throw unauthenticated('The API token is unknown, deleted or expired.', 'token_invalid')
    const { principal, allowed_networks: networks, expires_at } = found
    return {
      principal,
      expires_at: expires_at === null ? Infinity : Date.parse(expires_at),
      ...(networks.length > 0 && { networks })
    }
  }

  /** Expiry is reported only for a token with a valid signature, which is verified first. */
  #claimsOf(token: string): Claims {
    let claims: Claims
    try {
      claims = this.#verify(token)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      throw code === 'FAST_JWT_EXPIRED' ? expiredToken() : invalidToken()
    }
    if (!Number.isSafeInteger(claims.sid)) throw invalidToken()
    return claims
  }

  #remember(known: string, credential: Credential): void {
    this.#known.set(known, credential)
    for (const key of keysOf(credential)) {
      const concerned = this.#byKey.get(key) ?? new Set()
      this.#byKey.set(key, concerned.add(known))
    }
  }

  #unlist(known: string, credential: Credential): void {
    for (const key of keysOf(credential)) {
      const concerned = this.#byKey.get(key)
      concerned?.delete(known)
      if (concerned?.size === 0) this.#byKey.delete(key)
    }
  }

  /** Without a key: all credentials. */
  #forget(key: string | undefined): void {
    if (key !== undefined && !concerns.test(key)) return
    this.#invalidations++
    if (key === undefined) this.#known.clear()
    else for (const known of this.#byKey.get(key) ?? []) this.#known.delete(known)
  }
}

const invalidToken = () => unauthenticated('The token is invalid. Log in again.', 'token_invalid')

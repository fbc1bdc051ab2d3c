import jwt from '@fastify/jwt'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { LRUCache } from 'lru-cache'
import { allows, roles } from '../core/access/permissions.ts'
import { Context, type Services, type Principal } from '../core/access/context.ts'
import { forbidden, unauthenticated } from '../core/errors.ts'
import { principalOf, tokenLifetime } from '../modules/identity/auth/service.ts'

declare module 'fastify' {
  interface FastifyRequest {
    ctx: Context
    principal: Principal | null
    refusal: Error | null
  }
  interface FastifyContextConfig {
    permission?: string
    public?: true
  }
  interface FastifyInstance {
    services: Services
  }
}

const issuer = 'smartx-crm'

/** How long a principal is believed without asking Postgres: what bounds a revocation whose message was lost. Milliseconds. */
const recheck = 5_000

const expired = () =>
  unauthenticated('The token has expired. Refresh the session.', 'token_expired')

interface Known {
  principal: Principal
  expires_at: number
}

/**
 * Who is asking. Knows the principals of exact Authorization headers; a write to a user or a session makes it forget
 * them, in this process before the write is answered and in others within milliseconds.
 */
export const authentication = fp<{ services: Services; secret: string }>(
  async (app, { services, secret }) => {
    await app.register(jwt, {
      secret,
      sign: {
        algorithm: 'HS256',
        iss: issuer,
        aud: issuer,
        expiresIn: tokenLifetime,
        header: { alg: 'HS256', typ: 'at+jwt' }
      },
      verify: {
        algorithms: ['HS256'],
        allowedIss: issuer,
        allowedAud: issuer,
        requiredClaims: ['exp', 'sub', 'jti', 'iss', 'aud', 'sid'],
        checkTyp: 'at+jwt',
        cache: false
      }
    })
    app.decorate('services', services)
    app.decorateRequest('ctx', null as unknown as Context)
    app.decorateRequest('principal', null)
    app.decorateRequest('refusal', null)

    const known = new LRUCache<string, Known>({ max: 10_000, ttl: recheck, ttlResolution: 100 })
    let changes = 0
    services.cache.onInvalidation(key => {
      if (key !== undefined && !key.startsWith('session/') && !key.includes('/user/')) return
      changes++
      for (const [header, { principal }] of known.entries()) {
        if (
          key === undefined ||
          key === `session/${principal.session_id}` ||
          key === `${principal.organization_id}/user/${principal.user_id}`
        )
          known.delete(header)
      }
    })

    async function identify(header: string): Promise<Known> {
      const [scheme, token] = header.split(' ')
      if (scheme?.toLowerCase() !== 'bearer' || !token)
        throw unauthenticated('Send the token as "Authorization: Bearer <token>".')
      let claims: { sid: number; exp: number }
      try {
        claims = app.jwt.verify(token)
        if (!Number.isSafeInteger(claims.sid)) throw new Error('not one of our sessions')
      } catch (error) {
        // told only of a token whose signature is ours: it is checked before the time
        throw error instanceof Error && 'code' in error && error.code === 'FAST_JWT_EXPIRED'
          ? expired()
          : unauthenticated('The token is not valid. Log in again.', 'token_invalid')
      }
      const before = changes
      const principal = await principalOf(services, claims.sid)
      if (!principal) throw unauthenticated('This session is over. Log in again.', 'session_ended')
      const found = { principal, expires_at: claims.exp * 1000 }
      // a logout during the look-up may have been too late for it to see
      if (before === changes) known.set(header, found)
      return found
    }

    const admit = (request: FastifyRequest, { principal, expires_at }: Known) => {
      if (expires_at <= Date.now()) request.refusal = expired()
      else {
        request.principal = principal
        request.ctx = new Context(services, principal)
      }
    }

    // Only finds out; `authorization` refuses, after the rate limit has counted.
    app.addHook('onRequest', (request, _reply, done) => {
      const header = request.headers.authorization
      if (header === undefined || request.routeOptions.config.public) return done()
      const found = known.get(header)
      if (found) {
        admit(request, found)
        return done()
      }
      identify(header)
        .then(
          found => {
            admit(request, found)
          },
          (error: Error) => {
            request.refusal = error
          }
        )
        .then(() => {
          done()
        }, done)
    })
  }
)

/** What one may do. A route names its permission or says that it is public, or the app does not start. */
export const authorization = fp(async app => {
  const granted = new Map<string, readonly string[]>()

  app.addHook('onRoute', ({ config, url, method, schema }) => {
    if (config?.public) return
    if (!config?.permission)
      throw new Error(`${String(method)} ${url} names no permission and does not say it is public`)
    const { permission } = config
    granted.set(
      permission,
      roles.filter(role => allows(role, permission))
    )
    if (schema) schema.security = [{ bearer: [] }, { password: [] }]
  })

  app.addHook('onRequest', (request, _reply, done) => {
    const { permission } = request.routeOptions.config
    if (permission === undefined) return done()
    if (request.principal === null)
      return done(
        request.refusal ??
          unauthenticated('This needs a token: log in and send "Authorization: Bearer <token>".')
      )
    return granted.get(permission)!.includes(request.principal.role)
      ? done()
      : done(forbidden(permission))
  })
})

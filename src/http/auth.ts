import jwt from '@fastify/jwt'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { LRUCache } from 'lru-cache'
import { Context } from '../core/access/context.ts'
import type { Principal } from '../core/access/principal.ts'
import type { Services } from '../core/services.ts'
import { isWithin, networkOf } from '../core/access/networks.ts'
import {
  assertPermission,
  isForSessions,
  isForTokens,
  needsStepUp
} from '../core/access/permissions.ts'
import { listenTo, type Listener } from '../core/db/listener.ts'
import { forbidden, loginRequired, Problem, unauthenticated } from '../core/errors.ts'
import { enrollmentRequired, stepUpRequired } from '../modules/identity/auth/errors.ts'
import { originOf } from '../core/http/origin.ts'
import { recordAccess } from '../core/records/events.ts'
import { tokenLifetime } from '../modules/identity/auth/service.ts'
import { expiredToken, Principals, type Credential } from './principals.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Of whom the credential is, even if it was refused; null for a public or unknown one. */
    ctx: Context
    /** Who makes the request; null if nobody was admitted. */
    principal: Principal | null
    /** Why the credential was refused, if it was. */
    refusal: Error | null
  }
  interface FastifyContextConfig {
    permission?: string
    public?: true
    /** Whether a session needs a step-up; by default, what follows from the permission. */
    stepUp?: boolean
  }
  interface FastifyInstance {
    services: Services
    /**
     * Who makes a request that takes long, with the rights of now. Errors: 401 when the credential
     * has expired or was revoked meanwhile, 403 without the permission of the route.
     */
    readmit: (request: FastifyRequest) => Promise<Context>
  }
}

const issuer = 'smartx-crm'
const security = [{ bearer: [] }, { password: [] }]
const requiredClaims = ['exp', 'sub', 'jti', 'iss', 'aud', 'sid']

/**
 * Finds out who makes a request. It refuses nothing: `authorization` does, after the rate limit
 * has counted the request.
 */
export const authentication = fp<{ services: Services; secret: string; database_url: string }>(
  async (app, { services, secret, database_url }) => {
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
        requiredClaims,
        checkTyp: 'at+jwt',
        cache: false
      }
    })
    app.decorate('services', services)
    app.decorateRequest('ctx', null as unknown as Context)
    app.decorateRequest('principal', null)
    app.decorateRequest('refusal', null)

    const principals = new Principals(services, token => app.jwt.verify(token))
    keepCurrent(app, principals, database_url)
    app.decorate('readmit', async request => {
      const header = request.headers.authorization!
      const known = principals.peek(header) ?? (await principals.identify(header))
      request.principal = null
      admit(request, services, known)
      assertAdmitted(request)
      return request.ctx
    })

    app.addHook('onRequest', (request, _reply, done) => {
      const header = request.headers.authorization
      if (header === undefined || request.routeOptions.config.public) return done()
      const known = principals.peek(header)
      if (known) {
        admit(request, services, known)
        return done()
      }
      const identified = principals.identify(header).then(
        credential => {
          admit(request, services, credential)
        },
        (error: Error) => {
          request.refusal = error
        }
      )
      identified.then(() => {
        done()
      }, done)
    })
  }
)

/** Makes a request that of a credential, unless it has expired or is used from elsewhere. */
function admit(
  request: FastifyRequest,
  services: Services,
  { principal, expires_at, networks }: Credential
): void {
  if (expires_at <= Date.now()) {
    request.refusal = expiredToken()
    return
  }
  request.ctx = new Context(services, principal, { origin: originOf(request) })
  if (networks && !isWithin(request.ip, networks)) {
    request.refusal = unauthenticated(
      'The API token is not allowed from this address.',
      'token_invalid'
    )
    return
  }
  request.principal = principal
}

/** Has the process notice what changes in others, while it listens for requests. */
function keepCurrent(app: FastifyInstance, principals: Principals, database_url: string): void {
  let listener: Listener | undefined
  app.addHook('onListen', async () => {
    listener = listenTo('access', database_url, {
      hear: organization_id => {
        principals.forgetOrganization(Number(organization_id))
      },
      lost: () => {
        principals.distrust()
      },
      regained: () => {
        principals.trust()
      }
    })
  })
  app.addHook('onClose', async () => await listener?.stop())
}

/** Refusals that were recorded in the last minute. */
type Denials = LRUCache<string, true>

/**
 * Records the refusal of what someone may not do, or of a token that is used from elsewhere; once
 * a minute, so that nobody fills the log by repeating it.
 */
async function recordDenial(
  { ctx, method, routeOptions, ip, log }: FastifyRequest,
  { code }: Problem,
  recorded: Denials
) {
  const details = { method, route: routeOptions.url, code }
  const { organization_id, user_id, token } = ctx.principal
  const key = JSON.stringify([organization_id, user_id, token?.id, networkOf(ip), details])
  if (recorded.has(key)) return
  recorded.set(key, true)
  await recordAccess(ctx, 'permission.denied', details).catch((error: unknown) => {
    recorded.delete(key)
    log.error({ err: error }, 'a refusal was not recorded')
  })
}

/**
 * Refuses requests without the permission that their route declares, and of sessions that have to
 * enroll a second factor or to step up first. A route that declares neither a permission nor that
 * it is public stops the start of the app, as does an undefined permission.
 */
export const authorization = fp(async app => {
  app.addHook('onRoute', ({ config, url, method, schema }) => {
    if (config?.public) return
    const permission = config?.permission
    if (permission === undefined)
      throw new Error(
        `${String(method)} ${url} declares neither a permission nor that it is public`
      )
    assertPermission(permission)
    config!.stepUp ??= needsStepUp(permission)
    if (schema)
      Object.assign(schema, {
        security,
        'x-permission': permission,
        ...(config!.stepUp && { 'x-step-up': true })
      })
  })

  const denials: Denials = new LRUCache({ max: 10_000, ttl: 60_000 })
  app.addHook('onError', async (request, _reply, error) => {
    const ctx = request.ctx as Context | null
    if (ctx === null || !(error instanceof Problem)) return
    if (error.status === 403 || error === request.refusal)
      await recordDenial(request, error, denials)
  })

  app.addHook('onRequest', (request, _reply, done) => {
    done(refusalOf(request))
  })
})

/** Why the credential of a request does not do for its route, if it does not. */
function refusalOf({ principal, refusal, routeOptions }: FastifyRequest): Error | undefined {
  const { permission, stepUp } = routeOptions.config
  if (permission === undefined) return undefined
  if (principal === null) return refusal ?? missingToken()
  if (principal.token && !isForTokens(permission)) return loginRequired()
  if (!principal.access.can(permission)) return forbidden(permission)
  if (principal.must_enroll && !isForSessions(permission)) return enrollmentRequired()
  const { stepped_up_until = Infinity } = principal
  return stepUp && stepped_up_until <= Date.now() ? stepUpRequired() : undefined
}

function assertAdmitted(request: FastifyRequest): void {
  const refusal = refusalOf(request)
  if (refusal) throw refusal
}

const missingToken = () =>
  unauthenticated('A token is required: log in and send "Authorization: Bearer <token>".')

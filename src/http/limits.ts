import rateLimit from '@fastify/rate-limit'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { networkOf } from '../core/access/networks.ts'
import { tooManyRequests } from '../core/errors.ts'
import { RequestCounts } from './request-counts.ts'
import { SharedCounts } from './shared-counts.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether requests are outside of the rate limits. */
    unlimited?: true
  }
}

const windowSeconds = 60

/** At most `max` requests a minute of those that have the same key. */
interface Limit {
  /** Its name in the headers. */
  name: string
  max: number | ((request: FastifyRequest) => number)
  appliesTo: (request: FastifyRequest) => boolean
  /** Also the key in Redis, after the prefix. */
  keyOf: (request: FastifyRequest) => string
}

/** A user, or a network without a login. */
function clientOf({ principal, ip }: FastifyRequest): string {
  return principal?.user_id
    ? `${principal.organization_id}/requests/user/${principal.user_id}`
    : `requests/network/${networkOf(ip)}`
}

/**
 * The narrowest first, that of an API token: a request that a limit refuses does not count in the
 * next ones, so that a user at their limit does not use up that of the organization.
 */
const limitsOf = ({ max, organization_max }: Options): Limit[] => [
  {
    name: 'token',
    max: ({ principal }) => principal!.token!.rate_limit!,
    appliesTo: ({ principal }) => typeof principal?.token?.rate_limit === 'number',
    keyOf: ({ principal }) => `${principal!.organization_id}/requests/token/${principal!.token!.id}`
  },
  { name: 'client', max, appliesTo: () => true, keyOf: clientOf },
  {
    name: 'organization',
    max: organization_max,
    appliesTo: ({ principal }) => principal !== null,
    keyOf: ({ principal }) => `${principal!.organization_id}/requests`
  }
]

/** Requests per minute of a user and of an organization; `redis_url` is where they are shared. */
interface Options {
  max: number
  organization_max: number
  redis_url: string | undefined
}

/**
 * Limits the requests of each user, or network without a login, and of each organization. Counted
 * in this process and, where there is a Redis, shared with others in the background. Registered
 * after authentication, which identifies the client, and before authorization, so that refused
 * requests count as well. The headers are those of the limit with the fewest remaining requests.
 */
export const limits = fp<Options>(async (app, options) => {
  const { redis_url } = options
  const shared = redis_url === undefined ? undefined : new SharedCounts(redis_url)
  app.addHook('onClose', async () => {
    shared?.close()
  })
  await app.register(rateLimit, {
    global: false,
    store: class extends RequestCounts {
      constructor() {
        super(shared)
      }
    }
  })
  const countedLimits = limitsOf(options).map(({ keyOf, max, ...limit }) => ({
    ...limit,
    count: app.createRateLimit({ max, timeWindow: windowSeconds * 1000, keyGenerator: keyOf })
  }))

  app.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.config.unlimited) return
    let fewest = Infinity
    for (const { name, appliesTo, count } of countedLimits) {
      if (!appliesTo(request)) continue
      const state = await count(request)
      if (state.isAllowed) continue
      const { max, remaining, ttlInSeconds: seconds, isExceeded } = state
      if (remaining < fewest || isExceeded) {
        fewest = remaining
        reply
          .header('ratelimit-policy', `"${name}";q=${max};w=${windowSeconds}`)
          .header('ratelimit', `"${name}";r=${remaining};t=${seconds}`)
      }
      if (isExceeded)
        throw tooManyRequests(seconds, `The limit of each ${name} is ${max} requests per minute.`)
    }
  })
})

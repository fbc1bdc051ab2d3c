import rateLimit from '@fastify/rate-limit'
import fp from 'fastify-plugin'
import { networkOf } from '../core/access/networks.ts'
import { tooManyRequests } from '../core/errors.ts'
import { RequestCounts } from './request-counts.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether requests are outside of the rate limit. */
    unlimited?: true
  }
}

const windowSeconds = 60

/**
 * At most `max` requests a minute for each client: a user, or a network without a login. Counted
 * in this process. Registered after authentication, which identifies the client, and before
 * authorization, so that refused requests count as well.
 */
export const limits = fp<{ max: number }>(async (app, { max }) => {
  await app.register(rateLimit, { global: false, store: RequestCounts })
  const count = app.createRateLimit({
    max,
    timeWindow: windowSeconds * 1000,
    keyGenerator: request => request.principal?.user_id ?? networkOf(request.ip)
  })
  const policy = `"client";q=${max};w=${windowSeconds}`

  app.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.config.unlimited) return
    const limit = await count(request)
    if (limit.isAllowed) return
    const { remaining, ttlInSeconds: seconds } = limit
    reply
      .header('ratelimit-policy', policy)
      .header('ratelimit', `"client";r=${remaining};t=${seconds}`)
    if (limit.isExceeded) throw tooManyRequests(seconds, `The limit is ${max} requests per minute.`)
  })
})

import rateLimit from '@fastify/rate-limit'
import fp from 'fastify-plugin'
import { tooManyRequests } from '../kit/errors.ts'

/**
 * So many requests a minute for each client: a user, or an address where nobody is logged in. Counted in this process.
 * Registered after authentication, which says who it is, and before authorisation, so that refusals count as well.
 */
export const limits = fp<{ max: number }>(async (app, { max }) => {
  await app.register(rateLimit, { global: false, cache: 10_000 })
  const check = app.createRateLimit({ max, timeWindow: 60_000, keyGenerator: request => request.principal?.user_id ?? request.ip })
  const policy = `"client";q=${max};w=60`

  app.addHook('onRequest', async (request, reply) => {
    const spent = await check(request)
    if (spent.isAllowed) return
    reply.header('ratelimit-policy', policy).header('ratelimit', `"client";r=${spent.remaining};t=${spent.ttlInSeconds}`)
    if (spent.isExceeded) throw tooManyRequests(spent.ttlInSeconds, `More than ${max} requests in a minute.`)
  })
})

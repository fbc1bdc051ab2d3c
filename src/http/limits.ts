import fp from 'fastify-plugin'
import { createRequire } from 'node:module'
import { tooManyRequests } from '../core/errors.ts'

interface Spent {
  current: number
  ttl: number
}
interface Store {
  incr: (
    key: string | number,
    done: (error: Error | null, spent: Spent) => void,
    window: number,
    max: number
  ) => void
}

/** The store of @fastify/rate-limit without its hook, which awaits four times for a look into a map: a third of a cached read. */
const LocalStore = createRequire(import.meta.url)(
  '@fastify/rate-limit/store/LocalStore.js'
) as new (continueExceeding: boolean, exponentialBackoff: boolean, clients: number) => Store

const window = 60_000

/**
 * So many requests a minute for each client: a user, or an address where nobody is logged in. Counted in this process.
 * Registered after authentication, which says who it is, and before authorisation, so that refusals count as well.
 */
export const limits = fp<{ max: number }>(async (app, { max }) => {
  const store = new LocalStore(false, false, 10_000)
  const policy = `"client";q=${max};w=${window / 1000}`

  app.addHook('onRequest', (request, reply, done) => {
    store.incr(
      request.principal?.user_id ?? request.ip,
      (_error, { current, ttl }) => {
        const seconds = Math.ceil(ttl / 1000)
        reply
          .header('ratelimit-policy', policy)
          .header('ratelimit', `"client";r=${Math.max(0, max - current)};t=${seconds}`)
        done(
          current > max
            ? tooManyRequests(seconds, `More than ${max} requests in a minute.`)
            : undefined
        )
      },
      window,
      max
    )
  })
})

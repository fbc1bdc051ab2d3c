import type { FastifyRateLimitStore } from '@fastify/rate-limit'
import { LRUCache } from 'lru-cache'

/**
 * The requests of each client in its current window. The store of @fastify/rate-limit goes by the
 * time of day: when the clock is set back, a client who is refused stays so for that long.
 */
export class RequestCounts implements FastifyRateLimitStore {
  readonly #windows = new LRUCache<string, { requests: number }>({
    max: 10_000,
    ttl: 1, // see `incr`
    ttlResolution: 100
  })

  incr(
    client: string,
    done: (error: null, result: { current: number; ttl: number }) => void,
    timeWindow: number
  ): void {
    let window = this.#windows.get(client)
    if (!window) {
      window = { requests: 0 }
      this.#windows.set(client, window, { ttl: timeWindow })
    }
    window.requests++
    // its clock is exact to `ttlResolution`
    const ttl = Math.min(timeWindow, Math.ceil(this.#windows.getRemainingTTL(client)))
    done(null, { current: window.requests, ttl })
  }

  child(): this {
    return this
  }
}

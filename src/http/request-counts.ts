import type { FastifyRateLimitStore } from '@fastify/rate-limit'
import { LRUCache } from 'lru-cache'

/** The requests of a client in its current window. */
export interface Window {
  readonly client: string
  /** Number of this window among all of this process. */
  readonly serial: number
  /** Requests to this process. */
  own: number
  /** Those of `own` that other processes can know of. */
  shared: number
  /** Requests to other processes, as far as this one knows. */
  others: number
  /** Whole milliseconds of `performance.now`: the time of day can be set back. */
  endsAt: number
}

/** Tells other processes of windows, and the windows of what other processes counted. */
export interface Sharing {
  /** To be called after each request. `remaining` is negative when the limit is exceeded. */
  onRequest: (window: Window, remaining: number) => void
  /** To be called when a window is replaced or dropped. */
  onEnd: (window: Window) => void
}

const maxClients = 10_000
let windows = 0

/**
 * The requests of each client in its current window, for at most 10,000 clients: those that made
 * the latest requests. The store of @fastify/rate-limit goes by the time of day: when the clock is
 * set back, a client who is refused stays so for that long.
 */
export class RequestCounts implements FastifyRateLimitStore {
  readonly #sharing: Sharing | undefined
  readonly #windows = new LRUCache<string, Window>({
    max: maxClients,
    dispose: window => this.#sharing?.onEnd(window)
  })

  constructor(sharing?: Sharing) {
    this.#sharing = sharing
  }

  incr(
    client: string,
    done: (error: null, result: { current: number; ttl: number }) => void,
    timeWindow: number,
    max: number
  ): void {
    const now = Math.floor(performance.now()) // differences of fractions are not exact
    let window = this.#windows.get(client)
    if (!window || window.endsAt <= now) {
      const endsAt = now + timeWindow
      window = { client, serial: ++windows, own: 0, shared: 0, others: 0, endsAt }
      this.#windows.set(client, window)
    }
    window.own++
    const current = window.own + window.others
    this.#sharing?.onRequest(window, max - current)
    done(null, { current, ttl: window.endsAt - now })
  }

  child(): this {
    return this
  }
}

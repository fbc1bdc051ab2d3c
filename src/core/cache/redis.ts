import { Redis } from 'ioredis'
import { createHmac } from 'node:crypto'
import { redisOptions, redisPause, redisPrefix } from '../redis.ts'
import type { Entry, SharedCache } from './cache.ts'

/** Milliseconds that an entry lives in Redis: its maximum age if no invalidation can reach it. */
const lifetime = 10_000
/**
 * Milliseconds that an invalidated key cannot be filled: longer than any read may take, so that a
 * read that began before a write finds the tombstone.
 */
const tombstoneLifetime = 10_000
const maxOwedPerRound = 1_000
const channel = `${redisPrefix}invalidated`

/**
 * The shared tier in Redis. `secret` signs the entries, so that what others put there is a miss.
 * `forget` is called with each key that another process invalidated, without one after a
 * reconnection.
 */
export const redisCache = (
  url: string,
  secret: string,
  forget: (key?: string) => void
): SharedCache => new RedisCache(url, secret, forget)

class RedisCache implements SharedCache {
  readonly #redis: Redis
  readonly #subscriber: Redis
  readonly #secret: string
  /** Until then everything is a miss; by `performance.now`: the time of day can be set back. */
  #pausedUntil = 0
  /** Keys whose invalidation has not reached Redis, and since when; then Redis is not read. */
  readonly #owed = new Map<string, number>()
  readonly #timer: NodeJS.Timeout

  constructor(url: string, secret: string, forget: (key?: string) => void) {
    this.#secret = secret
    this.#redis = new Redis(url, { ...redisOptions, enableAutoPipelining: true })
    this.#redis.on('error', () => {
      this.#fail()
    })
    this.#subscriber = this.#subscribe(url, forget)
    this.#timer = setInterval(() => {
      if (this.#owed.size > 0) void this.#settle()
    }, redisPause).unref()
  }

  #subscribe(url: string, forget: (key?: string) => void): Redis {
    const subscriber = new Redis(url, redisOptions)
    subscriber.on('error', () => {})
    subscriber.on('close', () => {
      forget()
    })
    subscriber.on('ready', () => {
      const subscribed = subscriber.subscribe(channel)
      subscribed.then(
        () => {
          forget()
        },
        () => {
          subscriber.disconnect(true)
        }
      )
    })
    subscriber.on('message', (_channel, keys) => {
      for (const key of keys.split('\n')) forget(key)
    })
    return subscriber
  }

  async get(key: string): Promise<Entry | undefined> {
    if (!this.#isUsable()) return undefined
    try {
      const text = await this.#redis.get(redisPrefix + key)
      return text === null || text === '' ? undefined : this.#open(key, text)
    } catch {
      this.#fail()
      return undefined
    }
  }

  fill(key: string, { etag, body }: Entry): void {
    if (!this.#isUsable()) return
    const rest = `${etag}\n${body}`
    const text = this.#signature(key, rest) + rest
    this.#redis.set(redisPrefix + key, text, 'PX', lifetime, 'NX').catch(() => {
      this.#fail()
    })
  }

  async invalidate(keys: string[]): Promise<void> {
    const isDone = !this.#isPaused() && (await this.#send(keys))
    if (!isDone) for (const key of keys) this.#owed.set(key, performance.now())
  }

  healthy(): boolean {
    return this.#redis.status === 'ready' && this.#isUsable()
  }

  close(): void {
    clearInterval(this.#timer)
    this.#redis.disconnect()
    this.#subscriber.disconnect()
  }

  #isPaused(): boolean {
    return performance.now() < this.#pausedUntil
  }

  #isUsable(): boolean {
    return !this.#isPaused() && this.#owed.size === 0
  }

  #fail(): void {
    this.#pausedUntil = performance.now() + redisPause
  }

  /** Sends owed invalidations once Redis responds again; expired entries are owed no longer. */
  async #settle(): Promise<void> {
    for (const [key, since] of this.#owed)
      if (performance.now() - since > 2 * lifetime) this.#owed.delete(key)
    const keys = [...this.#owed.keys()].slice(0, maxOwedPerRound)
    if (keys.length === 0 || this.#isPaused() || !(await this.#send(keys))) return
    for (const key of keys) this.#owed.delete(key)
  }

  /** Deletes first, which also works if Redis is full; then tombstones keep slow readers out. */
  async #send(keys: string[]): Promise<boolean> {
    try {
      const commands = this.#redis.pipeline()
      for (const key of keys)
        commands.del(redisPrefix + key).set(redisPrefix + key, '', 'PX', tombstoneLifetime)
      const results = await commands.publish(channel, keys.join('\n')).exec()
      if (results?.every(([error]) => error === null)) return true
    } catch {
      // the same as a command that failed
    }
    this.#fail()
    return false
  }

  #signature(key: string, rest: string): string {
    const hmac = createHmac('sha256', this.#secret).update(`${key}\n${rest}`)
    return hmac.digest('base64url').slice(0, signatureLength)
  }

  /** An entry as `fill` wrote it, or undefined if it is anything else. */
  #open(key: string, text: string): Entry | undefined {
    const rest = text.slice(signatureLength)
    const end = rest.indexOf('\n')
    const isSigned = text.slice(0, signatureLength) === this.#signature(key, rest)
    if (end === -1 || !isSigned) return undefined
    return { etag: rest.slice(0, end), body: rest.slice(end + 1) }
  }
}

const signatureLength = 22

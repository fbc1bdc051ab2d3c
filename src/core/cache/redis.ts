import { Redis, type RedisOptions } from 'ioredis'
import { createHmac } from 'node:crypto'
import type { Entry, SharedCache } from './cache.ts'

/** How long an entry lives in Redis: what bounds its age when no invalidation can reach it. */
const lifetime = 10_000
/** Longer than any read may take (statement_timeout): a read that began before a write finds the tombstone in its way. */
const tombstone = 10_000
/** After a failure Redis is left alone for so long; meanwhile everything is a miss. */
const pause = 1_000
const prefix = 'smartx:'
const channel = 'smartx:invalidated'

/** Found by measuring: with the defaults a dead or frozen Redis held requests for more than 15 seconds. */
const options = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  commandTimeout: 100,
  connectTimeout: 500,
  retryStrategy: (attempt: number) => Math.min(attempt * 100, 2_000)
} satisfies RedisOptions

/**
 * The shared tier in Redis. `secret` signs the entries, so that what somebody else put there is a miss.
 * `forget` is called with each key that another process invalidated, without one after a reconnection.
 */
export function redisCache(
  url: string,
  secret: string,
  forget: (key?: string) => void
): SharedCache {
  const redis = new Redis(url, { ...options, enableAutoPipelining: true })
  const subscriber = new Redis(url, options)
  let silentUntil = 0
  /** What could not be invalidated and is still to be, and since when; meanwhile Redis is not read. */
  const owed = new Map<string, number>()
  const collector = setInterval(() => {
    if (owed.size > 0) void settle()
  }, pause).unref()

  redis.on('error', () => {
    silentUntil = Date.now() + pause
  })
  subscriber.on('error', () => {})
  subscriber.on('ready', () => {
    subscriber.subscribe(channel).then(
      () => {
        forget()
      },
      () => {
        subscriber.disconnect(true)
      }
    )
  })
  subscriber.on('close', () => {
    forget()
  })
  subscriber.on('message', (_channel, keys) => {
    for (const key of keys.split('\n')) forget(key)
  })

  const now = () => Date.now()
  const signature = (key: string, rest: string) =>
    createHmac('sha256', secret).update(`${key}\n${rest}`).digest('base64url').slice(0, 22)
  const fail = () => {
    silentUntil = now() + pause
  }

  return {
    async get(key) {
      if (now() < silentUntil || owed.size > 0) return undefined
      try {
        const text = await redis.get(prefix + key)
        return text === null || text === '' ? undefined : open(text, rest => signature(key, rest))
      } catch {
        fail()
        return undefined
      }
    },

    fill(key, { etag, body }) {
      if (now() < silentUntil || owed.size > 0) return
      const rest = `${etag}\n${body}`
      redis.set(prefix + key, signature(key, rest) + rest, 'PX', lifetime, 'NX').catch(fail)
    },

    async invalidate(keys) {
      const reached = now() >= silentUntil && (await forgetThere(keys))
      if (!reached) for (const key of keys) owed.set(key, now())
    },

    healthy: () => redis.status === 'ready' && now() >= silentUntil && owed.size === 0,

    close() {
      clearInterval(collector)
      redis.disconnect()
      subscriber.disconnect()
    }
  }

  /** Pays what is owed once Redis answers again; entries that have died of age by then are owed no more. */
  async function settle(): Promise<void> {
    for (const [key, since] of owed) if (now() - since > 2 * lifetime) owed.delete(key)
    const keys = [...owed.keys()].slice(0, 1_000)
    if (keys.length === 0 || now() < silentUntil || !(await forgetThere(keys))) return
    for (const key of keys) owed.delete(key)
  }

  /** Deletes first, which also works in a Redis that is full; the tombstone then keeps slow readers from filling. */
  async function forgetThere(keys: string[]): Promise<boolean> {
    try {
      const commands = redis.pipeline()
      for (const key of keys) commands.del(prefix + key).set(prefix + key, '', 'PX', tombstone)
      const results = await commands.publish(channel, keys.join('\n')).exec()
      if (results?.every(([error]) => error === null)) return true
    } catch {
      /* the same as a command that failed */
    }
    fail()
    return false
  }
}

/** An entry as `fill` wrote it, or undefined when it is anything else. */
function open(text: string, signature: (rest: string) => string): Entry | undefined {
  const rest = text.slice(22)
  const end = rest.indexOf('\n')
  return end === -1 || text.slice(0, 22) !== signature(rest)
    ? undefined
    : { etag: rest.slice(0, end), body: rest.slice(end + 1) }
}

import type { RedisOptions } from 'ioredis'

/** What all keys and channels of ours begin with. */
export const redisPrefix = 'smartx:'

/** Measured: with the defaults a dead or frozen Redis held requests for more than 15 seconds. */
export const redisOptions = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  commandTimeout: 100,
  connectTimeout: 500,
  retryStrategy: (attempt: number) => Math.min(attempt * 100, 2_000)
} satisfies RedisOptions

/** Milliseconds after a failure during which Redis is not used. */
export const redisPause = 1_000

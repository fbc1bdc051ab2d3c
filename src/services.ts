import { createHmac } from 'node:crypto'
import type { Config } from './config.ts'
import { Cache } from './core/cache/cache.ts'
import type { Services } from './core/access/context.ts'
import { cursors } from './core/records/cursor.ts'
import { openDatabase } from './core/db/database.ts'
import { passwords } from './core/access/passwords.ts'
import { redisCache } from './core/cache/redis.ts'

export type ServicesConfig = Pick<Config, 'redis_url' | 'password_cost'> & {
  database_url: string
  jwt_secret: string
}

/** Everything of which a process has one. Nothing is connected before it is first used. */
export function createServices({
  database_url,
  redis_url,
  jwt_secret,
  password_cost
}: ServicesConfig): Services {
  const keyFor = (purpose: string) =>
    createHmac('sha256', jwt_secret).update(purpose).digest('base64')
  return {
    database: openDatabase(database_url),
    cache:
      redis_url === undefined
        ? new Cache()
        : new Cache(forget => redisCache(redis_url, keyFor('cache'), forget)),
    cursors: cursors(keyFor('cursors')),
    passwords: passwords(password_cost)
  }
}

export async function closeServices({ cache, database }: Services): Promise<void> {
  cache.close()
  await database.close()
}

import { createHmac } from 'node:crypto'
import path from 'node:path'
import type { Config } from './config.ts'
import type { Services } from './core/services.ts'
import { passwords } from './core/access/passwords.ts'
import { Cache } from './core/cache/cache.ts'
import { redisCache } from './core/cache/redis.ts'
import { defined } from './core/defined.ts'
import { createDatabase, type DatabaseOptions } from './core/db/connections.ts'
import { Files } from './core/files.ts'
import { createMailer } from './core/mail.ts'
import { createOutbound } from './core/outbound.ts'
import { cursors } from './core/records/cursor.ts'
import { Sequencer } from './core/records/sequencer.ts'

export type ServicesConfig = Pick<Config, 'redis_url' | 'password_cost'> & {
  database_url: string
  jwt_secret: string
  mail?: Config['mail']
  outbound_networks?: string[]
  data_dir?: string
  slow_statements?: number
  database?: DatabaseOptions
}

/** Creates what exists once per process. Nothing is connected before it is first used. */
export function createServices(config: ServicesConfig): Services {
  const { database_url, redis_url, jwt_secret, mail, slow_statements, database } = config
  const { outbound_networks = [], data_dir = '.data' } = config
  const keyFor = derivedKeys(jwt_secret)
  const cache =
    redis_url === undefined
      ? new Cache()
      : new Cache(forget => redisCache(redis_url, keyFor('cache'), forget))
  const connections = createDatabase(database_url, { ...defined({ slow_statements }), ...database })
  return {
    database: connections,
    sequencer: new Sequencer(connections),
    cache,
    files: new Files(path.join(data_dir, 'files')),
    cursors: cursors(keyFor('cursors')),
    passwords: passwords(config.password_cost),
    mailer: mail && createMailer(mail),
    outbound: createOutbound(outbound_networks),
    keyFor
  }
}

/** The keys for the purposes there are, which are few, derived once. */
function derivedKeys(secret: string): Services['keyFor'] {
  const known = new Map<string, string>()
  return purpose => {
    const key = known.get(purpose) ?? createHmac('sha256', secret).update(purpose).digest('base64')
    known.set(purpose, key)
    return key
  }
}

/** Closes all connections. */
export async function closeServices(services: Services): Promise<void> {
  const { cache, database, outbound, sequencer } = services
  await sequencer.stop()
  cache.close()
  await outbound.close()
  await database.close()
}

import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'pg'

/**
 * The connections of graphile-worker. A pool of its own would lose its error handlers while its
 * connections are still closing, so that one that the server ends then would end the process; and
 * nobody could wait for it. `url`: `postgres://…`; `query_timeout`: in ms, by default without.
 */
export function queuePool(url: string, query_timeout = 0): Pool {
  const pool = new Pool({
    connectionString: url,
    max: 3,
    connectionTimeoutMillis: 5_000,
    query_timeout,
    keepAlive: true,
    application_name: 'smartx-jobs'
  })
  // the queries on a lost connection fail with errors of their own
  const ignore = () => {}
  pool.on('error', ignore)
  pool.on('connect', client => {
    client.on('error', ignore)
  })
  return pool
}

/** Milliseconds to wait for a server that does not close its connections. */
const endTimeout = 2_000

/** Closes the connections, and waits until they are. */
export async function closePool(pool: Pool): Promise<void> {
  await Promise.race([pool.end(), sleep(endTimeout, undefined, { ref: false })])
}

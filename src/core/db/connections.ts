import postgres from 'postgres'
import { defaultTimeouts, type Timeouts } from './timeouts.ts'

export type Sql = postgres.Sql
export type Connection = postgres.Sql | postgres.TransactionSql

/**
 * `point`: one connection on which short reads by key are pipelined (twice the throughput of a
 * pool; one slow query on it delays all others). `pool`: everything that can be slow.
 */
export interface Database {
  point: Sql
  pool: Sql
  timeouts: Timeouts
  /** Whether taking locks out of their declared order throws (see `locks.ts`); true in tests. */
  strict_locks: boolean
  close: () => Promise<void>
}

/** `2026-11-22 09:27:06.5+00`, as Postgres prints it in UTC, to `2026-11-22T09:27:06.500Z`. */
export function isoInstant(text: string): string {
  const zone = text.lastIndexOf('+')
  const whole = zone === -1 ? text : text.slice(0, zone)
  const point = whole.indexOf('.')
  const time = point === -1 ? `${whole}.000` : whole.padEnd(point + 4, '0')
  return `${time.slice(0, 10)}T${time.slice(11)}Z`
}

/** Numbers for int8 and numeric, ISO 8601 in UTC for instants, `YYYY-MM-DD` for dates. */
const types = {
  bigint: { to: 20, from: [20], serialize: String, parse: Number },
  numeric: { to: 1700, from: [1700], serialize: String, parse: Number },
  instant: { to: 1184, from: [1184], serialize: String, parse: isoInstant },
  date: { to: 1082, from: [1082], serialize: String, parse: (text: string) => text }
}

const settings = { types, onnotice: () => {}, connect_timeout: 5 }

const session = ({ statement, lock }: Timeouts) => ({
  TimeZone: 'UTC',
  // SSDs: an index pays off much sooner than Postgres assumes by default
  random_page_cost: 1.1,
  statement_timeout: statement,
  lock_timeout: lock,
  idle_in_transaction_session_timeout: 2 * statement,
  client_connection_check_interval: 1_000
})

export interface DatabaseOptions {
  /** Connections in the pool. */
  pool?: number
  timeouts?: Partial<Timeouts>
  strict_locks?: boolean
}

/** Opens both kinds of connection; nothing is sent before the first query. `url`: `postgres://…` */
export function createDatabase(url: string, options: DatabaseOptions = {}): Database {
  const { pool: max = 8, strict_locks = false } = options
  const timeouts = { ...defaultTimeouts, ...options.timeouts }
  const point = postgres(url, {
    ...settings,
    max: 1,
    connection: { ...session(timeouts), application_name: 'smartx-point' }
  })
  const pool = postgres(url, {
    ...settings,
    max,
    connection: {
      ...session(timeouts),
      application_name: 'smartx',
      // one cached plan for both a rare name and a common one is wrong for one of them
      plan_cache_mode: 'force_custom_plan',
      // reports hash and sort; with the default 4 MB they spill to disk at some 100,000 rows
      work_mem: '16MB'
    }
  })
  return {
    point,
    pool,
    timeouts,
    strict_locks,
    close: async () => {
      await Promise.all([point.end({ timeout: 5 }), pool.end({ timeout: 5 })])
    }
  }
}

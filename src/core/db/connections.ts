import postgres from 'postgres'
import { tooManyRequests } from '../errors.ts'
import { Lanes } from './lanes.ts'
import { PointReads } from './point-reads.ts'
import { defaultTimeouts, type Timeouts } from './timeouts.ts'
import { Turns } from './turns.ts'

export type Sql = postgres.Sql
export type TransactionSql = postgres.TransactionSql
export type Connection = postgres.Sql | TransactionSql

/**
 * `point`: one connection on which short reads by key are pipelined (twice the throughput of a
 * pool; one slow query on it delays all others). `pool`: transactions, logins and sessions.
 * `writes`: single writes, which run on `pool` if they wait for a lock. `lists` and `slow`: reads
 * that can be slow. So nothing else waits for these (see `Lanes`). `sequence`: for the sequencer,
 * which has its own time limit. `snapshots`: long reads of one state, see `inSnapshot`.
 */
export interface Database {
  point: Sql
  pool: Sql
  writes: Sql
  lists: Sql
  slow: Sql
  sequence: Sql
  snapshots: Sql
  pointReads: PointReads
  singleWrites: Lanes
  listReads: Lanes
  turns: OrganizationTurns
  timeouts: Timeouts
  /** Whether taking locks out of their declared order throws (see `locks.ts`); true in tests. */
  strict_locks: boolean
  close: () => Promise<void>
}

/** What organizations take turns in, so that none of them can starve another one. */
export interface OrganizationTurns {
  /** What has a connection of `pool` to itself: transactions, and writes that wait for a lock. */
  transactions: Turns
  /** Statements on `writes`. */
  writes: Turns
  /** Statements on `lists`, and on `slow`. */
  fast: Turns
  slow: Turns
  /** Lists that are streamed to their end. */
  exports: Turns
  /** Requests that wait for events. */
  feeds: Turns
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

/** What a database or role may have set otherwise, and what is read or written depends on. */
const formats = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: 1,
  standard_conforming_strings: 'on',
  default_transaction_isolation: 'read committed'
} as const

const session = ({ statement, lock }: Timeouts) => ({
  ...formats,
  // SSDs: an index pays off much sooner than Postgres assumes by default
  random_page_cost: 1.1,
  statement_timeout: statement,
  lock_timeout: lock,
  idle_in_transaction_session_timeout: 2 * statement,
  client_connection_check_interval: 1_000
})

/** One cached plan for both a rare name and a common one is wrong for one of them. */
const customPlans = { plan_cache_mode: 'force_custom_plan' }

const inSnapshots = ({ snapshot }: Timeouts) => ({
  ...customPlans,
  statement_timeout: snapshot,
  idle_in_transaction_session_timeout: snapshot,
  max_parallel_workers_per_gather: 0
})

/** Milliseconds for which a statement waits for a lock before it leaves `point` or `writes`. */
const briefLock = 50
/** Milliseconds that a statement may take on `lists`. */
const fastStatement = 250
/** Connections of `pool` that transactions leave to logins and sessions. */
const reserved = 2
/** Milliseconds that a run of the sequencer may take: there may be the events of a large import. */
const sequenceStatement = 600_000
/** Transactions that read one state of the database at a time. */
export const maxSnapshots = 2
/** Requests that may wait for events at a time, a quarter of them of one organization. */
const maxFeeds = 2_000
/** Requests of one organization that may wait for their turn. */
const queue = 100

export interface DatabaseOptions {
  /** Connections for transactions and logins, at least 3. */
  pool?: number
  /** Slow statements of one organization at a time; twice as many of all. */
  slow_statements?: number
  timeouts?: Partial<Timeouts>
  strict_locks?: boolean
}

const tooMany = (what: string) => (seconds: number) =>
  tooManyRequests(seconds, `Your organization has ${what} in progress.`)

/** `max`: the connections that transactions share with logins. */
function turnsOf(
  max: number,
  slow_statements: number,
  { turn: wait }: Timeouts
): OrganizationTurns {
  return {
    transactions: new Turns({
      total: max - reserved,
      perKey: Math.max(1, max - 2 * reserved),
      queue,
      wait,
      refusal: tooMany('too many writes')
    }),
    // so many end within a second, even if all of them are given up
    writes: new Turns({
      total: 64,
      perKey: 32,
      queue,
      wait,
      refusal: tooMany('too many writes')
    }),
    fast: new Turns({
      total: 64,
      perKey: 16,
      queue,
      wait,
      refusal: tooMany('too many requests')
    }),
    slow: new Turns({
      total: 2 * slow_statements,
      perKey: slow_statements,
      queue,
      wait,
      refusal: tooMany('too many slow requests')
    }),
    exports: new Turns({
      total: Infinity,
      perKey: 2,
      queue: 10,
      wait,
      refusal: tooMany('two exports')
    }),
    feeds: new Turns({
      total: maxFeeds,
      perKey: maxFeeds / 4,
      queue: 0,
      wait,
      refusal: tooMany('too many requests for events')
    })
  }
}

/** Opens all connections; nothing is sent before the first query. `url`: `postgres://…` */
export function createDatabase(url: string, options: DatabaseOptions = {}): Database {
  const { pool: max = 10, slow_statements = 3, strict_locks = false } = options
  const timeouts = { ...defaultTimeouts, ...options.timeouts }
  const open = (name: string, max: number, parameters: object, options: object = {}) =>
    postgres(url, {
      ...settings,
      ...options,
      max,
      connection: { ...session(timeouts), application_name: name, ...parameters }
    })
  const point = open('smartx-point', 1, { lock_timeout: briefLock })
  const pool = open('smartx', max, customPlans)
  const writes = open('smartx-writes', 8, { ...customPlans, lock_timeout: briefLock })
  const lists = open('smartx-lists', 4, { ...customPlans, statement_timeout: fastStatement })
  const slow = open('smartx-slow', 2 * slow_statements, {
    ...customPlans,
    // a slow statement takes one processor from others, not all of them
    max_parallel_workers_per_gather: 0,
    // reports hash and sort; with the default 4 MB they spill to disk at some 100,000 rows
    work_mem: '16MB'
  })
  const sequence = open('smartx-sequencer', 1, { statement_timeout: sequenceStatement })
  // they are rare
  const snapshots = open('smartx-snapshots', maxSnapshots, inSnapshots(timeouts), {
    idle_timeout: 10
  })
  const turns = turnsOf(max, slow_statements, timeouts)
  return {
    point,
    pool,
    writes,
    lists,
    slow,
    sequence,
    snapshots,
    pointReads: new PointReads(point, pool),
    singleWrites: new Lanes({
      fast: writes,
      slow: pool,
      turns: { fast: turns.writes, slow: turns.transactions },
      givenUp: '55P03',
      slowTime: 1_000
    }),
    listReads: new Lanes({
      fast: lists,
      slow,
      turns,
      givenUp: '57014',
      slowTime: 10_000
    }),
    turns,
    timeouts,
    strict_locks,
    close: async () => {
      const all = [point, pool, writes, lists, slow, sequence, snapshots]
      await Promise.all(all.map(async sql => await sql.end({ timeout: 5 })))
    }
  }
}

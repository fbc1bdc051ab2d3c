import type { Query, SQL } from 'drizzle-orm'
import postgres from 'postgres'
import { patience, within } from './timeouts.ts'
import { drizzle, fillPlaceholders, PgDialect } from './drizzle.ts'

export type Sql = postgres.Sql
export type Connection = postgres.Sql | postgres.TransactionSql

/**
 * `point`: one connection on which short reads by key are pipelined (twice the throughput of a pool; one slow query on it
 * makes all others wait). `pool`: everything that can be slow. `sql` options are those of postgres.js.
 */
export interface Database {
  point: Sql
  pool: Sql
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

/** One way to say each type: numbers for int8 and numeric, ISO-8601 in UTC for instants, `YYYY-MM-DD` for dates. */
const types = {
  bigint: { to: 20, from: [20], serialize: String, parse: Number },
  numeric: { to: 1700, from: [1700], serialize: String, parse: Number },
  instant: { to: 1184, from: [1184], serialize: String, parse: isoInstant },
  date: { to: 1082, from: [1082], serialize: String, parse: (text: string) => text }
}

const limits = {
  TimeZone: 'UTC',
  random_page_cost: 1.1, // no disk that turns: an index is worth it much sooner than Postgres believes by itself
  statement_timeout: 5_000,
  lock_timeout: 2_000,
  idle_in_transaction_session_timeout: 10_000,
  client_connection_check_interval: 1_000
}

const settings = { types, onnotice: () => {}, connect_timeout: 5 }

/** Opens both kinds of connection; nothing is sent before the first query. `url` is a `postgres://` URL. */
export function openDatabase(url: string, { pool = 8 } = {}): Database {
  const sqlPoint = postgres(url, {
    ...settings,
    max: 1,
    connection: { ...limits, application_name: 'smartx-point' }
  })
  // Lists are planned for the values asked for: one cached plan for "a rare name" and "a common one" is wrong for one of them.
  // And reports hash and sort: with the 4 MB that Postgres gives by itself they go to the disk at some hundred thousand rows.
  const sqlPool = postgres(url, {
    ...settings,
    max: pool,
    connection: {
      ...limits,
      application_name: 'smartx',
      plan_cache_mode: 'force_custom_plan',
      work_mem: '16MB'
    }
  })
  return {
    point: sqlPoint,
    pool: sqlPool,
    close: async () => {
      await Promise.all([sqlPoint.end({ timeout: 5 }), sqlPool.end({ timeout: 5 })])
    }
  }
}

/** Drizzle without a connection: it builds SQL and never runs it. See `statement` and `rowsOf`. */
export const build = drizzle.mock()

/**
 * SQL compiled once, to be run often: with `sql.placeholder('name')` where values go. `Row` is what it returns. A `fixed` one is
 * prepared in the database at once; one whose shape a caller has chosen is, when it is asked for again and while there is room.
 */
export interface Statement<Row> {
  text: string
  parameters: unknown[]
  fixed: boolean
  uses: number
  row?: Row
}

/** A prepared statement stays in each backend for good, at some 17 kB: shapes beyond this many are planned anew each time. */
const mostPrepared = 300
let prepared = 0

interface Compilable {
  toSQL: () => Query
}
type RowOf<Q> = Q extends PromiseLike<Array<infer Row>> ? Row : never

/** Compiles a Drizzle query. Rows come back as Postgres names their columns, so a select maps no names. */
export function statement<Q extends Compilable>(query: Q, fixed = true): Statement<RowOf<Q>> {
  const { sql, params } = query.toSQL()
  return { text: sql, parameters: params, fixed, uses: 0 }
}

const dialect = new PgDialect()
/** The same of SQL that is written by hand. */
export const query = <Row>(query: SQL, fixed = true): Statement<Row> =>
  statement({ toSQL: () => dialect.sqlToQuery(query) }, fixed)

function isPrepared(statement: Statement<unknown>): boolean {
  if (!statement.fixed && ++statement.uses === 3 && prepared < mostPrepared) {
    prepared++
    statement.fixed = true
  }
  return statement.fixed
}

/**
 * The rows of a result without holes. When a statement fails after it has sent rows, postgres.js goes on counting with the next one of
 * that connection, whose rows then come behind as many holes (3.4.9; porsager/postgres#1181). They always come first.
 */
export const dense = <T>(result: T): T =>
  Array.isArray(result) && result.length > 0 && !(0 in result)
    ? (result.filter(() => true) as T)
    : result

/** The result of a query, or 503 when it does not come. */
export const soon = async <T>(query: PromiseLike<T>): Promise<T> =>
  dense(await within(patience.statement, query))

/** Sends a statement. Errors: postgres.js's own, which `problemOfDatabase` knows. */
export const send = <Row>(
  connection: Connection,
  statement: Statement<Row>,
  values: Record<string, unknown> = {}
): PromiseLike<Row[]> =>
  connection.unsafe(
    statement.text,
    fillPlaceholders(statement.parameters, values) as postgres.ParameterOrJSON<never>[],
    { prepare: isPrepared(statement) }
  ) as unknown as PromiseLike<Row[]>

/** Sends a statement and waits for its rows, with a bound. Errors: as `send`, or 503. */
export const run = async <Row>(
  connection: Connection,
  statement: Statement<Row>,
  values: Record<string, unknown> = {}
): Promise<Row[]> => await soon(send(connection, statement, values))

/** Runs `work` in a transaction of its own. Errors: as `run`. */
export const begin = async <T>(
  sql: Sql,
  work: (connection: Connection) => Promise<T>
): Promise<T> => await within(patience.transaction, sql.begin(work) as Promise<T>)

/** Compiles and runs a query that is not hot enough to be compiled once. */
export const rowsOf = async <Q extends Compilable>(
  connection: Connection,
  query: Q
): Promise<RowOf<Q>[]> => await run(connection, statement(query))

import type { Query, SQL } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'
import { LRUCache } from 'lru-cache'
import type postgres from 'postgres'
import type { Connection, Database } from './connections.ts'
import {
  drizzle,
  fillPlaceholders,
  getTableColumns,
  getTableName,
  PgDialect,
  sql
} from './drizzle.ts'
import { withTimeout } from './timeouts.ts'
import { withoutHoles } from './workarounds.ts'

/** Values of the placeholders of a query, by name. */
export type Values = Record<string, unknown>

/** Drizzle without a connection: it builds SQL, and postgres.js runs it. */
export const build = drizzle.mock()

/** A query of Drizzle's builder, or its `sql` tag. */
export type Queryable = SQL | { toSQL: () => Query }

/** SQL that was compiled once, to be run many times. `Row` is what it returns. */
export interface Statement<Row> {
  text: string
  parameters: unknown[]
  prepared: boolean
  uses: number
  /** Never set: it carries the type. */
  row?: Row
}

const dialect = new PgDialect()
const toQuery = (query: Queryable): Query =>
  'toSQL' in query ? query.toSQL() : dialect.sqlToQuery(query)

/**
 * Compiles a query with `sql.placeholder('name')` for its values. It is prepared from its first
 * use on; one whose shape callers determine (`fixed: false`) once it has been used repeatedly.
 */
export function compile<Row>(query: Queryable, fixed = true): Statement<Row> {
  const { sql: text, params } = toQuery(query)
  return { text, parameters: params, prepared: fixed, uses: 0 }
}

/** A prepared statement stays in each backend for good, at some 17 kB. */
const maxPrepared = 300
let prepared = 0

function shouldPrepare(statement: Statement<unknown>): boolean {
  if (!statement.prepared && ++statement.uses === 3 && prepared < maxPrepared) {
    prepared++
    statement.prepared = true
  }
  return statement.prepared
}

/** Statements that services compose at run time, by their text. */
const shapes = new LRUCache<string, Statement<unknown>>({ max: 1000 })

function shapeOf<Row>(text: string): Statement<Row> {
  const known = shapes.get(text) as Statement<Row> | undefined
  if (known) return known
  const statement: Statement<Row> = { text, parameters: [], prepared: false, uses: 0 }
  shapes.set(text, statement)
  return statement
}

/** Sends a compiled statement. Errors: those of postgres.js, which `problemOfDatabase` maps. */
export const send = <Row>(
  connection: Connection,
  statement: Statement<Row>,
  values: Values = {}
): PromiseLike<Row[]> => sendText(connection, statement, statement.parameters, values)

const sendText = <Row>(
  connection: Connection,
  statement: Statement<Row>,
  parameters: unknown[],
  values: Values
) =>
  connection.unsafe(
    statement.text,
    fillPlaceholders(parameters, values) as postgres.ParameterOrJSON<never>[],
    { prepare: shouldPrepare(statement) }
  ) as unknown as PromiseLike<Row[]>

/** Sends a query that was not compiled before. Errors: as `send`. */
export function sendQuery<Row>(
  connection: Connection,
  query: Queryable,
  values: Values = {}
): PromiseLike<Row[]> {
  const { sql: text, params } = toQuery(query)
  return sendText(connection, shapeOf<Row>(text), params, values)
}

/** The rows of a compiled statement, within the time limit. Errors: as `send`, or 503. */
export const run = async <Row>(
  database: Database,
  connection: Connection,
  statement: Statement<Row>,
  values: Values = {}
): Promise<Row[]> =>
  await answer(database, connection, statement.text, connection =>
    send(connection, statement, values)
  )

/** The rows of a query, within the time limit. Errors: as `run`. */
export async function rowsOf<Row>(
  database: Database,
  connection: Connection,
  query: Queryable,
  values: Values = {}
): Promise<Row[]> {
  const { sql: text, params } = toQuery(query)
  return await answer(database, connection, text, connection =>
    sendText(connection, shapeOf<Row>(text), params, values)
  )
}

async function answer<Row>(
  { point, pointReads, timeouts }: Database,
  connection: Connection,
  text: string,
  sendOn: (connection: Connection) => PromiseLike<Row[]>
): Promise<Row[]> {
  const rows = connection === point ? pointReads.run(text, sendOn) : sendOn(connection)
  return withoutHoles(await withTimeout(timeouts.answer, rows))
}

/** Runs `work` in a transaction of its own. Errors: as `run`. */
export const begin = async <T>(
  { pool, timeouts }: Database,
  work: (connection: Connection) => Promise<T>
): Promise<T> => await withTimeout(timeouts.transaction, pool.begin(work) as Promise<T>)

/** The organization and the user that a query runs for; `Context.rows` fills them in. */
export const organization = sql`${sql.placeholder('organization')}::bigint`
export const actor = sql`${sql.placeholder('actor')}::bigint`

/**
 * The rows of a table that belong to the caller's organization and are not deleted, to be written
 * after `from` or `join`. Postgres inlines the subquery. `alias`: the table's name by default, so
 * that Drizzle's columns refer to it.
 */
export function ours(table: PgTable, alias = getTableName(table)): SQL {
  const alive = 'deleted_at' in getTableColumns(table) ? sql` and deleted_at is null` : sql``
  const rows = sql`select * from ${table} where organization_id = ${organization}${alive}`
  return sql`(${rows}) ${sql.identifier(alias)}`
}

/** Like `ours`, with the deleted rows. */
export const oursWithDeleted = (table: PgTable, alias = getTableName(table)): SQL =>
  sql`(select * from ${table} where organization_id = ${organization}) ${sql.identifier(alias)}`

/**
 * A record table of all organizations. Only for verifying a credential, before there is a context;
 * everything else reads `ours`. The comment tells the row-level security of the tests so.
 */
export const acrossOrganizations = (table: PgTable): SQL => sql`${table} /* of all organizations */`

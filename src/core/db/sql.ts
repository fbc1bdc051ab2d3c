import type { Query, SQL } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
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
import { hiddenFieldsNeeded } from '../errors.ts'
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
  /** Where its rows are limited to those that the caller reaches. */
  limits: Limit[]
  /** The tables of which it selects the columns that the caller sees. */
  selections: string[]
  /** Whether it is for a caller who does not see all of them. */
  hides: boolean
  /** The statement as it is for some callers, with only the parameters that this adds. */
  variants: LRUCache<string, Statement<unknown>>
  /** Never set: it carries the type. */
  row?: Row
}

/** A place in a statement that is limited to the rows that the caller may do `action` to. */
export interface Limit {
  action: string
  table: string
  /** What the statement calls the table; or, with a dot, the column that has the ID of a row. */
  alias: string
}

/** What limits are for one caller. */
export interface Limiter {
  /** Callers for whom it is the same have the same condition at this place. */
  keyOf: (limit: Limit) => string
  /** The condition as SQL; `parameter` refers to a value by its name, see `types`. */
  conditionOf: (limit: Limit, parameter: (name: string) => string) => string
  /** The columns of a table that the caller sees, as SQL: `*` for all of them. */
  columnsOf: (table: string) => string
}

const limitMarker = /@limit (\w+) (\w+) ([\w.]+)@/g
const columnsMarker = /@columns (\w+)@/g

/**
 * The condition that the caller may do `action` to a row of a record table. It is filled in when
 * the statement is run; until then, it is no SQL: a statement without a caller fails.
 */
export const reached = (action: string, table: string, alias = table): SQL =>
  sql.raw(`@limit ${action} ${table} ${alias}@`)

/**
 * The columns of a record table that the caller sees. A statement that uses another one is refused
 * by Postgres, whatever it uses it for.
 */
const shownColumns = (table: string): SQL => sql.raw(`@columns ${table}@`)

/** The same for the row whose ID a column has, such as `links.contact_id`: for a link to it. */
export const reachedBy = (action: string, table: PgTable, column: PgColumn): SQL =>
  reached(action, getTableName(table), `${getTableName(column.table)}.${column.name}`)

const limitsIn = (text: string): Limit[] =>
  [...text.matchAll(limitMarker)].map(([, action, table, alias]) => ({
    action: action!,
    table: table!,
    alias: alias!
  }))

const dialect = new PgDialect()
const toQuery = (query: Queryable): Query =>
  'toSQL' in query ? query.toSQL() : dialect.sqlToQuery(query)

/**
 * Compiles a query with `sql.placeholder('name')` for its values. It is prepared from its first
 * use on; one whose shape callers determine (`fixed: false`) once it has been used repeatedly.
 */
export function compile<Row>(query: Queryable, fixed = true): Statement<Row> {
  const { sql: text, params } = toQuery(query)
  return statementOf(text, params, fixed)
}

const statementOf = <Row>(
  text: string,
  parameters: unknown[],
  prepared: boolean
): Statement<Row> => ({
  text,
  parameters,
  prepared,
  uses: 0,
  limits: limitsIn(text),
  selections: [...text.matchAll(columnsMarker)].map(([, table]) => table!),
  hides: false,
  variants: new LRUCache({ max: maxVariants })
})

/** Sets of reaches for which a statement is kept. */
const maxVariants = 50

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
  const statement = statementOf<Row>(text, [], false)
  shapes.set(text, statement)
  return statement
}

/** A query, or one that was compiled. */
export type Runnable<Row> = Queryable | Statement<Row>
const isStatement = <Row>(query: Runnable<Row>): query is Statement<Row> => 'variants' in query

/** A statement as it is sent for one caller. */
interface Bound<Row> {
  statement: Statement<Row>
  parameters: unknown[]
}

function bind<Row>(query: Runnable<Row>, limiter: Limiter | undefined): Bound<Row> {
  if (isStatement(query)) return withLimits(query, query.parameters, limiter)
  const { sql: text, params } = toQuery(query)
  return withLimits(shapeOf<Row>(text), params, limiter)
}

function withLimits<Row>(
  statement: Statement<Row>,
  parameters: unknown[],
  limiter: Limiter | undefined
): Bound<Row> {
  const { limits, selections } = statement
  if (limits.length === 0 && selections.length === 0) return { statement, parameters }
  if (!limiter) throw new Error('a statement that is limited to a caller was run without one')
  const key = [
    ...limits.map(limit => limiter.keyOf(limit)),
    ...selections.map(table => limiter.columnsOf(table))
  ].join()
  const known = statement.variants.get(key) as Statement<Row> | undefined
  const variant = known ?? variantOf(statement, parameters.length, limiter)
  statement.variants.set(key, variant)
  return { statement: variant, parameters: [...parameters, ...variant.parameters] }
}

/** The types of the values that limits can refer to. */
const types: Record<string, string> = {
  organization: 'bigint',
  actor: 'bigint',
  teams: 'bigint[]',
  colleagues: 'bigint[]'
}

function variantOf<Row>(
  { text, limits, selections, prepared }: Statement<Row>,
  parameters: number,
  limiter: Limiter
): Statement<Row> {
  const added: unknown[] = []
  const parameter = (name: string) =>
    `$${parameters + added.push(sql.placeholder(name))}::${types[name]!}`
  const conditions = limits.map(limit => limiter.conditionOf(limit, parameter))
  const filled = text
    .replaceAll(limitMarker, () => conditions.shift()!)
    .replaceAll(columnsMarker, (_, table: string) => limiter.columnsOf(table))
  const hides = selections.some(table => limiter.columnsOf(table) !== '*')
  // for those who reach and see everything, it is prepared as before; others earn it
  return { ...statementOf(filled, added, prepared && added.length === 0 && !hides), hides }
}

/**
 * Sends a query; `limiter` says what the caller reaches. Errors: those of postgres.js, which
 * `problemOfDatabase` maps.
 */
export const send = <Row>(
  connection: Connection,
  query: Runnable<Row>,
  values: Values = {},
  limiter?: Limiter
): PromiseLike<Row[]> => sendBound(connection, bind(query, limiter), values)

function sendBound<Row>(
  connection: Connection,
  { statement, parameters }: Bound<Row>,
  values: Values
): PromiseLike<Row[]> {
  const rows = connection.unsafe(
    statement.text,
    fillPlaceholders(parameters, values) as postgres.ParameterOrJSON<never>[],
    { prepare: shouldPrepare(statement) }
  ) as unknown as PromiseLike<Row[]>
  return statement.hides ? refusingHidden(rows) : rows
}

/** Errors: 403 for a statement that uses a column that the caller does not see. */
async function refusingHidden<Row>(rows: PromiseLike<Row[]>): Promise<Row[]> {
  try {
    return await rows
  } catch (error) {
    const isUndefinedColumn = error instanceof Error && 'code' in error && error.code === '42703'
    throw isUndefinedColumn ? hiddenFieldsNeeded() : error
  }
}

/** The rows of a query, within the time limit. Errors: as `send`, or 503. */
export async function rowsOf<Row>(
  database: Database,
  connection: Connection,
  query: Runnable<Row>,
  values: Values = {},
  limiter?: Limiter
): Promise<Row[]> {
  const bound = bind(query, limiter)
  return await answer(database, connection, bound.statement.text, connection =>
    sendBound(connection, bound, values)
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

/** The same user in a write (`Context.write`), whose events then have the origin of the request. */
export const author = sql`acting(${actor}, ${sql.placeholder('origin')}::text)`

/** The time zone of the organization. */
export const timeZone = sql`${sql.placeholder('time_zone')}::text`

function inOrganization(table: PgTable, alias: string, columns: SQL, ...conditions: SQL[]): SQL {
  const all = sql.join([sql`organization_id = ${organization}`, ...conditions], sql` and `)
  return sql`(select ${columns} from ${table} where ${all}) ${sql.identifier(alias)}`
}
const isAlive = (table: PgTable) =>
  'deleted_at' in getTableColumns(table) ? [sql`deleted_at is null`] : []

/**
 * The rows of a table that the caller may read and that are not deleted, with the columns that the
 * caller sees, to be written after `from` or `join`. Postgres inlines the subquery. `alias`: the
 * table's name by default, so that Drizzle's columns refer to it.
 */
export const ours = (table: PgTable, alias = getTableName(table)): SQL =>
  readable(table, alias, ...isAlive(table))

/** Like `ours`, with the deleted rows. */
export const oursWithDeleted = (table: PgTable, alias = getTableName(table)): SQL =>
  readable(table, alias)

const readable = (table: PgTable, alias: string, ...conditions: SQL[]): SQL => {
  const name = getTableName(table)
  return inOrganization(table, alias, shownColumns(name), ...conditions, reached('read', name))
}

/**
 * Like `ours`, with the rows that the caller may not read and the columns that the caller does not
 * see: for what must hold for every caller, and never for what is shown.
 */
export const everyRow = (table: PgTable, alias = getTableName(table)): SQL =>
  inOrganization(table, alias, sql`*`, ...isAlive(table))

/**
 * A record table of all organizations. Only for verifying a credential, before there is a context;
 * everything else reads `ours`. The comment tells the row-level security of the tests so.
 */
export const acrossOrganizations = (table: PgTable): SQL => sql`${table} /* of all organizations */`

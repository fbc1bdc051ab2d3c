import type { SQL } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { LRUCache } from 'lru-cache'
import { and, sql, unionAll } from '../db/drizzle.ts'
import { defaultsOf, shownColumns } from '../db/columns.ts'
import type { Context } from '../access/context.ts'
import type { Position } from './cursor.ts'
import { build, query, run, statement, type Statement } from '../db/database.ts'
import {
  condition,
  exactly,
  shapeOf as filterShape,
  textOf,
  type Filter,
  type Scopes
} from './filter.ts'

export type { Filter, Operator, Scopes } from './filter.ts'

export interface Sort {
  field: string
  descending: boolean
}

/** What a list is asked for. `words` are looked for in the text of the record, `fields` are the columns wanted (all if absent). */
export interface ListQuery {
  filters?: Filter[]
  sort?: Sort[]
  words?: string[]
  deleted?: boolean
  fields?: readonly string[]
  limit?: number
  cursor?: string
  count?: boolean
}

export interface Page<Row> {
  data: Row[]
  has_more: boolean
  next_cursor: string | null
  total?: number
}

interface Key extends Sort {
  column: PgColumn
  nullable: boolean
}
type Values = Record<string, unknown>

const compare = { gt: sql.raw('>'), gte: sql.raw('>='), lt: sql.raw('<'), lte: sql.raw('<=') }
const newestFirst: Sort[] = [{ field: 'id', descending: true }]
const place = <Name extends string>(name: Name) => sql.placeholder(name)

/**
 * Rows beyond `at` in the order of `keys`; placeholders `k0`, `k1` …. One range on an index where all keys run the same way,
 * else a range on the first key and a filter within it. Nulls come last in either direction.
 */
function beyond(keys: Key[], at: Position): SQL {
  const uniform = keys.every(
    ({ descending, nullable }) => descending === keys[0]!.descending && !nullable
  )
  if (uniform) {
    return sql`(${sql.join(
      keys.map(key => key.column),
      sql`, `
    )}) ${keys[0]!.descending ? compare.lt : compare.gt} (${sql.join(
      keys.map((_, i) => place(`k${i}`)),
      sql`, `
    )})`
  }
  const [first] = keys as [Key]
  const bound = first.nullable
    ? undefined
    : sql`${first.column} ${first.descending ? compare.lte : compare.gte} ${place('k0')}`
  return and(bound, stepwise(keys, at, 0))!
}

function stepwise(keys: Key[], at: Position, i: number): SQL {
  const { column, descending, nullable } = keys[i]!
  const last = i === keys.length - 1
  if (at[i] === null)
    return last ? sql`false` : sql`(${column} is null and ${stepwise(keys, at, i + 1)})`
  const further = sql`${column} ${descending ? compare.lt : compare.gt} ${place(`k${i}`)}`
  const past = nullable ? sql`(${further} or ${column} is null)` : further
  return last
    ? past
    : sql`(${past} or (${column} = ${place(`k${i}`)} and ${stepwise(keys, at, i + 1)}))`
}

const order = ({ column, descending, nullable }: Key) =>
  sql`${column} ${sql.raw(descending ? (nullable ? 'desc nulls last' : 'desc') : 'asc')}`

/**
 * Makes `list`, `stream` and what else reads many rows of a table. The SQL of a list is compiled once for each *shape* (which filters,
 * which sort, which columns); a request only fills in values.
 */
export function lists<Row>(name: string, table: PgTable, scopes: Scopes = {}) {
  const columns = shownColumns(table)
  const shapes = new LRUCache<string, Statement<Row>>({ max: 500 })
  const column = (field: string): PgColumn =>
    columns[field] ?? fault(`${name} has no column ${field}`)

  function keysOf(sort: Sort[]): Key[] {
    const sorted = sort.some(({ field }) => field === 'id')
      ? sort
      : [...sort, { field: 'id', descending: sort[0]!.descending }]
    return sorted.map(key => ({
      ...key,
      column: column(key.field),
      nullable: !column(key.field).notNull
    }))
  }

  function conditions(query: ListQuery): SQL[] {
    return [
      sql`${column_of(table, 'organization_id')} = ${place('organization')}`,
      ...(columns.deleted_at
        ? [
            query.deleted
              ? sql`${columns.deleted_at} is not null`
              : sql`${columns.deleted_at} is null`
          ]
        : []),
      ...(query.filters ?? []).map((filter, i) =>
        condition(table, columns, scopes, filter, sql`${place(`f${i}`)}`)
      ),
      ...(query.words ?? []).map(
        (_, i) => sql`${textOf(table)} like search_pattern(${place(`w${i}`)})`
      )
    ]
  }

  const values = (ctx: Context, query: ListQuery): Values => ({
    organization: ctx.organization_id,
    actor: ctx.user_id,
    ...Object.fromEntries((query.filters ?? []).map(({ value }, i) => [`f${i}`, value])),
    ...Object.fromEntries((query.words ?? []).map((word, i) => [`w${i}`, word]))
  })

  const shapeOf = (query: ListQuery) =>
    JSON.stringify([
      query.deleted,
      query.words?.length,
      query.fields,
      query.sort,
      query.filters?.map(filterShape)
    ])

  function compiled(shape: string, make: () => Statement<Row>): Statement<Row> {
    let known = shapes.get(shape)
    if (!known) shapes.set(shape, (known = make()))
    return known
  }

  /** The columns to read: those asked for, and those that say where the next page begins. */
  const shown = (query: ListQuery, keys: Key[]) =>
    query.fields
      ? Object.fromEntries(
          [...new Set([...query.fields, ...keys.map(key => key.field)])].map(field => [
            field,
            column(field)
          ])
        )
      : columns

  /** A run of rows on one index in the order of `keys`, where both conditions hold. */
  const segment = (query: ListQuery, keys: Key[], after: SQL | undefined, only?: SQL) =>
    build
      .select(shown(query, keys))
      .from(table)
      .where(and(...conditions(query), only, after))
      .orderBy(...keys.map(order))
      .limit(place('limit'))

  /**
   * At most `limit` rows after `at`, in one statement. Where the first key may be null there are two runs on its index, the values
   * and then the nulls; Postgres begins the second only when the first has ended.
   */
  async function rows(
    ctx: Context,
    query: ListQuery,
    keys: Key[],
    limit: number,
    at?: Position
  ): Promise<Row[]> {
    const [first, ...rest] = keys as [Key, ...Key[]]
    const inNulls = at?.[0] === null
    const found = compiled(
      `${shapeOf(query)} ${at?.map(value => (value === null ? '0' : '1')).join('')}`,
      () => {
        if (!first.nullable)
          return statement(segment(query, keys, at && beyond(keys, at)), false) as Statement<Row>
        // the first key stays in the order of its nulls as well, or Postgres does not see that the index has it
        const decided = [{ ...first, nullable: false }, ...rest]
        const nulls = segment(
          query,
          decided,
          inNulls ? beyond(rest, at.slice(1)) : undefined,
          sql`${first.column} is null`
        )
        if (inNulls) return statement(nulls, false) as Statement<Row>
        const values = segment(
          query,
          decided,
          at && beyond(decided, at),
          sql`${first.column} is not null`
        )
        return statement(unionAll(values, nulls).limit(place('limit')), false) as Statement<Row>
      }
    )
    const from = inNulls ? at.slice(1) : (at ?? [])
    return await run(ctx.connection, found, {
      ...values(ctx, query),
      limit,
      ...Object.fromEntries(from.map((value, i) => [`k${i}`, value]))
    })
  }

  async function count(ctx: Context, query: ListQuery): Promise<number> {
    const counting = compiled(
      `count ${shapeOf({ ...query, sort: [], fields: [] })}`,
      () =>
        statement(
          build
            .select({ total: sql<number>`count(*)`.as('total') })
            .from(table)
            .where(and(...conditions(query))),
          false
        ) as unknown as Statement<Row>
    )
    const [row] = (await run(ctx.connection, counting, values(ctx, query))) as unknown as [
      { total: number }
    ]
    return row.total
  }

  const defaults = defaultsOf(table)
  const position = (keys: Key[], row: Row): Position =>
    keys.map(({ field }) => (row as Record<string, Position[number]>)[field]!)

  return {
    /** One page. Errors: 400 when the cursor is of another list. */
    async list(ctx: Context, query: ListQuery = {}): Promise<Page<Row>> {
      const { limit = 50, cursor, sort = newestFirst } = query
      const keys = keysOf(sort)
      const self = JSON.stringify([
        ctx.organization_id,
        name,
        query.filters,
        query.words,
        query.deleted,
        sort
      ])
      const [found, total] = await Promise.all([
        rows(
          ctx,
          { ...query, sort },
          keys,
          limit + 1,
          cursor === undefined ? undefined : ctx.services.cursors.open(cursor, self)
        ),
        query.count ? count(ctx, query) : undefined
      ])
      const data = found.slice(0, limit)
      const has_more = found.length > limit
      const next_cursor = has_more
        ? ctx.services.cursors.seal(position(keys, data.at(-1)!), self)
        : null
      return { data, has_more, next_cursor, ...(total !== undefined && { total }) }
    },

    /** The next rows of a list after a row of it: for those who merge lists. `from` is what `positionOf` said of that row. */
    async after(
      ctx: Context,
      { sort = newestFirst, ...query }: ListQuery,
      limit: number,
      from?: Position
    ): Promise<Row[]> {
      return await rows(ctx, { ...query, sort }, keysOf(sort), limit, from)
    },
    positionOf: (row: Row, sort: Sort[] = newestFirst): Position => position(keysOf(sort), row),

    /** The condition under which a row is in the list, and the values of its placeholders: for statements that count and add up. */
    where: (ctx: Context, query: ListQuery): { where: SQL; values: Values } => ({
      where: and(...conditions(query))!,
      values: values(ctx, query)
    }),

    /**
     * Which of the sets of filters a record would meet if it were stored like this: with the same operators in the same database as a list,
     * before there is a row. An absent field has its default.
     */
    async wouldMeet(ctx: Context, record: object, sets: Filter[][]): Promise<boolean[]> {
      if (sets.length === 0) return []
      const meets = (filters: Filter[], i: number) =>
        and(
          sql`true`,
          ...filters.map((filter, j) =>
            exactly(column(filter.field), filter, sql`${place(`f${i}_${j}`)}`)
          )
        )!
      const asking = compiled(
        `wouldMeet ${JSON.stringify(sets.map(set => set.map(filterShape)))}`,
        () =>
          query(
            sql`
        select ${sql.join(
          sets.map(
            (set, i) => sql`coalesce(${meets(set, i)}, false) as ${sql.identifier(`m${i}`)}`
          ),
          sql`, `
        )}
        from jsonb_populate_record(null::${table}, ${place('record')}::text::jsonb) ${table}`,
            false
          )
      )
      const asked = sets.flatMap((set, i) =>
        set.map(({ value }, j) => [`f${i}_${j}`, value] as const)
      )
      const given = {
        record: JSON.stringify({ ...defaults, ...record }),
        ...Object.fromEntries(asked)
      }
      const [met] = (await run(ctx.connection, asking, given)) as unknown as [
        Record<string, boolean>
      ]
      return sets.map((_, i) => met[`m${i}`]!)
    },

    /** The whole list in batches: no transaction is held open, and no more than a batch is in memory. */
    async *stream(ctx: Context, query: ListQuery = {}): AsyncGenerator<Row[]> {
      const batch = 1000
      const { sort = newestFirst } = query
      const keys = keysOf(sort)
      let at: Position | undefined
      for (;;) {
        const found = await rows(ctx, { ...query, sort }, keys, batch, at)
        if (found.length > 0) yield found
        if (found.length < batch) return
        at = position(keys, found.at(-1)!)
      }
    }
  }
}

const column_of = (table: PgTable, name: string): PgColumn =>
  (table as unknown as Record<string, PgColumn>)[name]!
const fault = (message: string): never => {
  throw new Error(message)
}

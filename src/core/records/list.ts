import type { SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { LRUCache } from 'lru-cache'
import { setImmediate } from 'node:timers/promises'
import type { Context } from '../access/context.ts'
import { columnNamed, defaultsOf, keyOf } from '../db/columns.ts'
import { and, getTableName, sql, unionAll } from '../db/drizzle.ts'
import { build, compile, ours, reached, type Statement, type Values } from '../db/sql.ts'
import type { Position } from './cursor.ts'
import { columnCondition, condition, filterShape, type Filter, type Filterable } from './filter.ts'
import { reachesFew } from './few.ts'
import { orderBy, rowsAfter, type SortKey } from './keyset.ts'
import { hasWord, searchedBy, spellingsOf, type Searched } from './search.ts'

export interface Sort {
  field: string
  descending: boolean
}

/**
 * What a list is requested with. `words` are searched for in the text of the record, `fields` are
 * the columns wanted (all if absent).
 */
export interface ListQuery {
  filters?: Filter[]
  sort?: Sort[]
  words?: string[]
  deleted?: boolean
  fields?: readonly string[]
  limit?: number
  cursor?: string
  count?: boolean
  /** Where `words` are searched for, of which `Lists` takes care; undefined: everywhere. */
  searched?: Searched | undefined
  /** Whether the caller reaches few records, of which `Lists` takes care. */
  few?: boolean
}

export interface Page<Row> {
  data: Row[]
  has_more: boolean
  next_cursor: string | null
  total?: number
}

/** What a list is a list of. */
export interface Listable extends Filterable {
  name: string
  /** Columns, hidden ones too, by which fields are sorted instead of their own. */
  sortColumns?: Readonly<Record<string, PgColumn>>
}

const newestFirst: Sort[] = [{ field: 'id', descending: true }]
const batchSize = 1000

/**
 * Lists of one table. The SQL of a list is compiled once for each *shape* (its filters, its sort,
 * its columns); a request only fills in values.
 */
export class Lists<Row> {
  readonly #resource: Listable
  readonly #shapes = new LRUCache<string, Statement<unknown>>({ max: 500 })
  readonly #defaults: Record<string, unknown>

  constructor(resource: Listable) {
    this.#resource = resource
    this.#defaults = defaultsOf(resource.table)
  }

  /**
   * One page. Errors: 400 when the cursor is of another list, 403 for a search in related records
   * that the caller cannot read.
   */
  async list(ctx: Context, requested: ListQuery = {}): Promise<Page<Row>> {
    const query = await this.#readableBy(ctx, requested)
    const { limit = 50, cursor, sort = newestFirst } = query
    const keys = this.#keysOf(sort)
    const { filters, words, deleted } = query
    const { cursors } = ctx.services
    const identity = JSON.stringify([
      ctx.organization_id,
      this.#resource.name,
      filters,
      words,
      deleted,
      sort
    ])
    const at = cursor === undefined ? undefined : cursors.open(cursor, identity)
    const [found, total] = await Promise.all([
      this.#rows(ctx, { ...query, sort }, keys, limit + 1, at),
      query.count ? this.#count(ctx, query) : undefined
    ])
    const data = found.slice(0, limit)
    const has_more = found.length > limit
    const next_cursor = has_more ? cursors.seal(positionIn(keys, data.at(-1)!), identity) : null
    const page = { data: this.#shown(data, keys), has_more, next_cursor }
    return total === undefined ? page : { ...page, total }
  }

  /**
   * The whole list in batches: no transaction is held open, one batch at a time is in memory.
   * Errors: 403 as `list`.
   */
  async *stream(ctx: Context, requested: ListQuery = {}): AsyncGenerator<Row[]> {
    const query = await this.#readableBy(ctx, requested)
    const { sort = newestFirst } = query
    const keys = this.#keysOf(sort)
    let at: Position | undefined
    for (;;) {
      const found = await this.#rows(ctx, { ...query, sort }, keys, batchSize, at)
      if (found.length === 0) return
      at = positionIn(keys, found.at(-1)!)
      yield this.#shown(found, keys)
      if (found.length < batchSize) return
      await setImmediate() // other requests come first
    }
  }

  /** The next rows of a list after a position, which `positionOf` gives: to merge lists. */
  async after(
    ctx: Context,
    { sort = newestFirst, ...query }: ListQuery,
    limit: number,
    position?: Position
  ): Promise<Row[]> {
    return await this.#rows(ctx, { ...query, sort }, this.#keysOf(sort), limit, position)
  }

  /** The first row of a list that an index gives at once: it waits for no turn. */
  async first(ctx: Context, query: ListQuery): Promise<Row | undefined> {
    const sorted = { ...query, sort: query.sort ?? newestFirst }
    const statement = this.#statementOf(sorted, this.#keysOf(sorted.sort))
    return (await ctx.read(statement, { ...this.#values(query), limit: 1 }))[0]
  }

  /** The position of a row in a list of this sort. */
  positionOf(row: Row, sort: Sort[] = newestFirst): Position {
    return positionIn(this.#keysOf(sort), row)
  }

  /**
   * The rows that match all of the filters, to be written after `from` or `join`; its columns are
   * those of the table that the caller sees.
   */
  matching(filters: Filter[]): SQL {
    const { table } = this.#resource
    const conditions = filters.map(filter =>
      condition(this.#resource, filter, sql`${sql.param(filter.value)}`)
    )
    const rows = sql`select * from ${ours(table)} where ${and(sql`true`, ...conditions)!}`
    return sql`(${rows}) ${sql.identifier(getTableName(table))}`
  }

  /**
   * Which of the sets of filters a record would match if it were stored like this, by the
   * operators that lists use. An absent field has its default.
   */
  async wouldMatch(ctx: Context, record: object, sets: Filter[][]): Promise<boolean[]> {
    if (sets.length === 0) return []
    const shape = `wouldMatch ${JSON.stringify(sets.map(set => set.map(filterShape)))}`
    const statement = this.#compiled<Record<string, boolean>>(shape, () => this.#matches(sets))
    const values: Values = { record: JSON.stringify({ ...this.#defaults, ...record }) }
    for (const [i, set] of sets.entries())
      for (const [j, { value }] of set.entries()) values[`f${i}_${j}`] = value
    const matched = (await ctx.read(statement, values))[0]!
    return sets.map((_, i) => matched[`m${i}`]!)
  }

  #matches(sets: Filter[][]): SQL {
    const { table } = this.#resource
    const matches = sets.map((set, i) => {
      const conditions = set.map((filter, j) =>
        columnCondition(this.#column(filter.field), filter, sql`${sql.placeholder(`f${i}_${j}`)}`)
      )
      const all = and(sql`true`, ...conditions)!
      return sql`coalesce(${all}, false) as ${sql.identifier(`m${i}`)}`
    })
    const record = sql`${sql.placeholder('record')}::text::jsonb`
    return sql`select ${sql.join(matches, sql`, `)}
      from jsonb_populate_record(null::${table}, ${record}) ${table}`
  }

  /**
   * The list as far as the caller may search. A filter by a related record tells as much about it
   * as `include` does. Errors: 403.
   */
  async #readableBy(ctx: Context, query: ListQuery): Promise<ListQuery> {
    const { filters = [], words = [], deleted } = query
    for (const [name, { to }] of Object.entries(this.#resource.relatedRecords?.() ?? {})) {
      const isUsed = words.length > 0 || filters.some(({ field }) => field.startsWith(`${name}.`))
      if (isUsed) ctx.require(`${to.path}:read`)
    }
    const { table } = this.#resource
    const isRecords = 'deleted_at' in table && !deleted
    const few = isRecords && (await reachesFew(ctx, getTableName(table)))
    const searched = words.length > 0 ? searchedBy(ctx, this.#resource) : undefined
    return { ...query, few, searched }
  }

  #column(field: string): PgColumn {
    const { name, columns } = this.#resource
    const column = columns[field]
    if (!column) throw new Error(`${name} has no column ${field}`)
    return column
  }

  #keysOf(sort: Sort[]): SortKey[] {
    const isUnique = sort.some(({ field }) => field === 'id')
    const all = isUnique ? sort : [...sort, { field: 'id', descending: sort[0]!.descending }]
    return all.map(key => {
      const column = this.#resource.sortColumns?.[key.field] ?? this.#column(key.field)
      return { ...key, column, nullable: !column.notNull }
    })
  }

  /** Rows without the hidden columns that they were sorted by. */
  #shown(rows: Row[], keys: SortKey[]): Row[] {
    const names = keys.map(({ column }) => column.name)
    for (const name of names.filter(name => !(name in this.#resource.columns)))
      for (const row of rows) delete (row as Record<string, unknown>)[name]
    return rows
  }

  /** The conditions of a list with placeholders, for a statement that is compiled once. */
  #where(query: ListQuery): SQL[] {
    const valueOf = (name: string) => sql`${sql.placeholder(name)}`
    const { table, columns } = this.#resource
    const { filters = [], words = [], deleted = false, searched, few } = query
    const { deleted_at } = columns
    const presence = deleted ? sql`is not null` : sql`is null`
    return [
      sql`${columnNamed(table, 'organization_id')} = ${sql.placeholder('organization')}`,
      ...(deleted_at ? [sql`${deleted_at} ${presence}`] : []),
      reached(few ? 'few' : 'read', getTableName(table)),
      ...filters.map((filter, i) => condition(this.#resource, filter, valueOf(`f${i}`))),
      ...words.map((word, i) => {
        const spellings = spellingsOf(word).map((_, j) => valueOf(`w${i}_${j}`))
        return hasWord(this.#resource, spellings, searched)
      })
    ]
  }

  #values({ filters = [], words = [] }: ListQuery): Values {
    return {
      ...Object.fromEntries(filters.map(({ value }, i) => [`f${i}`, value])),
      ...Object.fromEntries(
        words.flatMap((word, i) => spellingsOf(word).map((one, j) => [`w${i}_${j}`, one]))
      )
    }
  }

  #compiled<Result>(shape: string, make: () => Parameters<typeof compile>[0]): Statement<Result> {
    const known = this.#shapes.get(shape) as Statement<Result> | undefined
    if (known) return known
    const statement = compile<Result>(make(), false)
    this.#shapes.set(shape, statement)
    return statement
  }

  /** The columns to read: those requested, and those that say where the next page begins. */
  #selected(query: ListQuery, keys: SortKey[]): Record<string, PgColumn> {
    const columns = query.fields
      ? Object.fromEntries(query.fields.map(field => [field, this.#column(field)]))
      : this.#resource.columns
    return { ...columns, ...Object.fromEntries(keys.map(({ column }) => [column.name, column])) }
  }

  /** A run of rows on one index, in the order of `keys`. */
  #segment(query: ListQuery, keys: SortKey[], ...conditions: (SQL | undefined)[]) {
    return build
      .select(this.#selected(query, keys))
      .from(this.#resource.table)
      .where(and(...this.#where(query), ...conditions))
      .orderBy(...keys.map(orderBy))
      .limit(sql.placeholder('limit'))
  }

  /**
   * The statement for the rows after `at`. Where the first key is nullable there are two runs on
   * its index, the values and then the nulls; Postgres begins the second when the first has ended.
   */
  #statement(query: ListQuery, keys: SortKey[], at: Position | undefined) {
    const [first, ...rest] = keys as [SortKey, ...SortKey[]]
    if (!first.nullable) return this.#segment(query, keys, at && rowsAfter(keys, at))
    // the first key stays in the order of its nulls too, or Postgres does not use the index
    const decided = [{ ...first, nullable: false }, ...rest]
    const inNulls = at?.[0] === null
    const nulls = this.#segment(
      query,
      decided,
      sql`${keyOf(first.column)} is null`,
      inNulls ? rowsAfter(rest, at.slice(1)) : undefined
    )
    if (inNulls) return nulls
    const values = this.#segment(
      query,
      decided,
      sql`${keyOf(first.column)} is not null`,
      at && rowsAfter(decided, at)
    )
    return unionAll(values, nulls).limit(sql.placeholder('limit'))
  }

  /** At most `limit` rows after `at`, in one statement. */
  async #rows(
    ctx: Context,
    query: ListQuery,
    keys: SortKey[],
    limit: number,
    at?: Position
  ): Promise<Row[]> {
    const inNulls = at?.[0] === null && keys[0]!.nullable
    const statement = this.#statementOf(query, keys, at)
    const position = inNulls ? at.slice(1) : (at ?? [])
    const positions = Object.fromEntries(position.map((value, i) => [`k${i}`, value]))
    return await ctx.rows(statement, { ...this.#values(query), limit, ...positions })
  }

  #statementOf(query: ListQuery, keys: SortKey[], at?: Position): Statement<Row> {
    const nulls = at?.map(value => (value === null ? '0' : '1')).join('')
    return this.#compiled<Row>(`${shapeOf(query)} ${nulls}`, () => this.#statement(query, keys, at))
  }

  async #count(ctx: Context, query: ListQuery): Promise<number> {
    const shape = `count ${shapeOf({ ...query, sort: [], fields: [] })}`
    const statement = this.#compiled<{ total: number }>(shape, () =>
      build
        .select({ total: sql<number>`count(*)`.as('total') })
        .from(this.#resource.table)
        .where(and(...this.#where(query)))
    )
    return (await ctx.aggregate(statement, this.#values(query)))[0]!.total
  }
}

const shapeOf = ({ deleted, few, words, searched, fields, sort, filters }: ListQuery): string =>
  JSON.stringify([
    deleted,
    few,
    searched,
    words?.map(word => spellingsOf(word).length),
    fields,
    sort,
    filters?.map(filterShape)
  ])

const positionIn = <Row>(keys: SortKey[], row: Row): Position =>
  keys.map(({ column }) => (row as Record<string, Position[number]>)[column.name]!)

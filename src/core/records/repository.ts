import type { InferInsertModel, InferSelectModel, SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { LRUCache } from 'lru-cache'
import { and, getTableConfig, getTableName, sql } from '../db/drizzle.ts'
import { shownColumns, type Hidden, type RecordTable, type record } from '../db/columns.ts'
import type { Context } from '../access/context.ts'
import { query as compile, run, send, type Statement } from '../db/database.ts'
import { notFound, stale, unavailable, unknownReference } from '../errors.ts'
import { eventsOf, type EventRow } from './events.ts'
import { lists, type ListQuery, type Page, type Scopes } from './list.ts'

/** A record as it is stored, cached and sent: every column but the hidden ones. */
export type RowOf<T extends RecordTable> = Omit<InferSelectModel<T>, Hidden>
/** What a caller may give a new record: every column but those that are ours to set. */
export type NewOf<T extends RecordTable> = Omit<
  InferInsertModel<T>,
  keyof ReturnType<typeof record> | 'search_text'
>
export type ChangesOf<T extends RecordTable> = Partial<NewOf<T>>

/** The versions an `If-Match` allows; undefined: any. */
export type Versions = number[] | undefined

const place = (name: string) => sql.placeholder(name)
/** A parameter of the column's type, without its length: a cast to varchar(50) would cut what is too long, and must not. */
const typed = (column: PgColumn, name = column.name) =>
  sql`${place(name)}::${sql.raw(column.getSQLType().replace(/\(.*?\)/, ''))}`
const list = (parts: SQL[]) => sql.join(parts, sql`, `)
const names = (columns: PgColumn[]) =>
  list(columns.map(({ name }) => sql.identifier(name)).map(name => sql`${name}`))

/** The alive record that a foreign key of the same organisation must point at, or null. */
function references(table: RecordTable): { column: PgColumn; exists: SQL }[] {
  return getTableConfig(table)
    .foreignKeys.map(key => key.reference())
    .map(({ columns, foreignTable }) => {
      // the columns of a foreign key are stand-ins that do not know their type
      const column = (table as unknown as Record<string, PgColumn>)[columns.at(-1)!.name]!
      return {
        column,
        exists: sql`(${typed(column)} is null or exists (
        select from ${sql.identifier(getTableName(foreignTable))} target
        where target.organization_id = ${place('organization')}::bigint and target.id = ${typed(column)} and target.deleted_at is null))`
      }
    })
}

/**
 * The verbs of one table: `list, stream, get, lock, find, create, createMany, update, updateMany, remove, restore`. Everything is
 * scoped to the organisation of `ctx`; a write is one statement; events are left to the table's trigger, the cache is told.
 * `name` is the record in the singular, as in its events and in messages; `scopes` are filters that are no columns.
 */
export function collection<T extends RecordTable>(name: string, table: T, scopes: Scopes = {}) {
  type Row = RowOf<T> & { id: number; version: number }
  type New = NewOf<T>
  type Changes = ChangesOf<T>
  const columns = table as unknown as Record<string, PgColumn>
  const shown = shownColumns(table)
  const returning = names(Object.values(shown))
  const pointing = references(table)
  const relation = sql`${sql.identifier(getTableName(table))}`
  const shapes = new LRUCache<string, Statement<Row>>({ max: 200 })

  const cacheKey = (ctx: Context, id: number) => `${ctx.organization_id}/${name}/${id}`
  const given = (values: object) =>
    Object.keys(values)
      .filter(field => (values as Record<string, unknown>)[field] !== undefined)
      .toSorted()
  const scope = (ctx: Context) => ({ organization: ctx.organization_id, actor: ctx.user_id })

  function compiled(shape: string, make: () => SQL): Statement<Row> {
    let known = shapes.get(shape)
    if (!known) shapes.set(shape, (known = compile<Row>(make(), false)))
    return known
  }

  const author = sql`${place('organization')}::bigint, ${place('actor')}::bigint, ${place('actor')}::bigint`
  const one = sql`organization_id = ${place('organization')}::bigint and id = ${place('id')}::bigint`
  const versionAllowed = sql`(${place('versions')}::int[] is null or version = any(${place('versions')}::int[]))`
  const getAlive = compile<Row>(
    sql`select ${returning} from ${relation} where ${one} and deleted_at is null`
  )
  const getAny = compile<Row>(sql`select ${returning} from ${relation} where ${one}`)
  const findAlive = compile<Row>(sql`select ${returning} from ${relation}
    where organization_id = ${place('organization')}::bigint and id = any(${place('ids')}::bigint[]) and deleted_at is null`)
  const stamped = sql`version = version + 1, updated_at = now(), updated_by = ${place('actor')}::bigint`
  const marking = (deleted: boolean) =>
    compile<Row>(sql`update ${relation} set deleted_at = ${sql.raw(deleted ? 'now()' : 'null')}, ${stamped}
    where ${one} and deleted_at is ${sql.raw(deleted ? 'null' : 'not null')} and ${versionAllowed} returning ${returning}`)
  const lockAlive = compile<Row>(
    sql`select ${returning} from ${relation} where ${one} and deleted_at is null for no key update`
  )
  const removing = marking(true)
  const restoring = marking(false)

  /** Runs a write, and drops the record from the cache whatever came of it: a broken connection does not tell. */
  async function write(
    ctx: Context,
    id: number,
    work: Statement<Row>,
    values: object
  ): Promise<Row | undefined> {
    return (
      await ctx.changing(
        [cacheKey(ctx, id)],
        send(ctx.connection, work, { ...values, ...scope(ctx), id })
      )
    )[0]
  }

  const updating = (fields: string[]) => {
    const changes = fields.map(field => columns[field]!)
    const moved = pointing.filter(({ column }) => fields.includes(column.name))
    return {
      moved,
      // a reference that stays as it is may point at a record that is gone: saving a form must not fail for it
      sound: moved.map(
        ({ column, exists }) =>
          sql`(${sql.identifier(column.name)} is not distinct from ${typed(column)} or ${exists})`
      ),
      differs: sql`(${sql.join(
        changes.map(
          column => sql`${sql.identifier(column.name)} is distinct from ${typed(column)}`
        ),
        sql` or `
      )})`,
      set: list(changes.map(column => sql`${sql.identifier(column.name)} = ${typed(column)}`))
    }
  }

  /** One record. Errors: 404. */
  async function get(ctx: Context, id: number): Promise<Row> {
    const [row] = await run(ctx.point, getAlive, { ...scope(ctx), id })
    if (!row) throw notFound(name)
    return row
  }

  /** One record, which nobody else changes until the transaction of `ctx` is over. Errors: 404, 412 when `versions` does not have the present one. */
  async function lock(ctx: Context, id: number, versions?: Versions): Promise<Row> {
    const [row] = await run(ctx.connection, lockAlive, { ...scope(ctx), id })
    if (!row) throw notFound(name)
    if (versions && !versions.includes(row.version)) throw stale(row.version)
    return row
  }

  /** Those of the records that exist, by id, in no order. */
  async function find(ctx: Context, ids: number[]): Promise<Row[]> {
    return ids.length === 0 ? [] : await run(ctx.point, findAlive, { ...scope(ctx), ids })
  }

  /** Makes a record. Errors: 422 for a reference to no record, 409 for a value that must be unique and is not. */
  async function create(ctx: Context, input: New): Promise<Row> {
    const fields = given(input)
    const pointed = pointing.filter(({ column }) => fields.includes(column.name))
    const inserting = compiled(`create ${fields.join()}`, () => {
      const filled = fields.map(field => columns[field]!)
      return sql`insert into ${relation} (organization_id, created_by, updated_by${sql.join(filled.map(({ name }) => sql`, ${sql.identifier(name)}`))})
        select ${author}${sql.join(filled.map(column => sql`, ${typed(column)}`))}
        where ${and(sql`true`, ...pointed.map(({ exists }) => exists))!} returning ${returning}`
    })
    const [row] = await run(ctx.connection, inserting, { ...input, ...scope(ctx) })
    if (row) return row
    throw unknownReference(await missing(ctx, fields, input))
  }

  /** The fields of `input` that point at no record. */
  async function missing(ctx: Context, fields: string[], input: object): Promise<string[]> {
    const pointed = pointing.filter(({ column }) => fields.includes(column.name))
    const checking = compiled(
      `missing ${fields.join()}`,
      () =>
        sql`select ${list(pointed.map(({ column, exists }) => sql`${exists} as ${sql.identifier(column.name)}`))}`
    )
    const [found] = (await run(ctx.connection, checking, {
      ...input,
      ...scope(ctx)
    })) as unknown as [Record<string, boolean>]
    return Object.keys(found).filter(field => !found[field])
  }

  /**
   * Makes many records in one statement and returns how many. References are checked by the foreign keys alone, which
   * know of no soft deletion. `inputs` need not have the same fields; an absent one is null, or its default if none has it.
   * One that would be a second of something unique is left out.
   */
  async function createMany(
    ctx: Context,
    inputs: (New & { created_at?: string })[]
  ): Promise<number> {
    if (inputs.length === 0) return 0
    const fields = [...new Set(inputs.flatMap(given))].toSorted()
    const inserting = compiled(`createMany ${fields.join()}`, () => {
      const filled = fields.map(field => columns[field]!)
      const shape = list(
        filled.map(column => sql`${sql.identifier(column.name)} ${sql.raw(column.getSQLType())}`)
      )
      return sql`with made as (
        insert into ${relation} (organization_id, created_by, updated_by, ${names(filled)})
        select ${author}, ${names(filled)} from jsonb_to_recordset(${place('inputs')}::text::jsonb) as input (${shape})
        on conflict do nothing returning 1
      ) select count(*) as made from made`
    })
    const [row] = (await run(ctx.connection, inserting, {
      ...scope(ctx),
      inputs: JSON.stringify(inputs)
    })) as unknown as [{ made: number }]
    return row.made
  }

  /**
   * Changes the fields given and no others. A change that changes nothing is no change: same version, no event.
   * Errors: 404, 412 when `versions` does not have the present one, 422, 409.
   */
  async function update(
    ctx: Context,
    id: number,
    changes: Changes,
    versions?: Versions
  ): Promise<Row> {
    const fields = given(changes)
    if (fields.length === 0) return await unchanged(ctx, id, versions)
    const changing = compiled(`update ${fields.join()}`, () => {
      const { set, differs, sound } = updating(fields)
      return sql`update ${relation} set ${set}, ${stamped}
        where ${and(one, sql`deleted_at is null`, versionAllowed, differs, ...sound)!} returning ${returning}`
    })
    const values = { ...changes, versions: versions ?? null }
    for (let attempt = 0; attempt < 3; attempt++) {
      const row =
        (await write(ctx, id, changing, values)) ?? (await whyNot(ctx, id, fields, values))
      if (row) return row
    }
    throw unavailable('Other writers were faster each time; nothing was changed. Try again.')
  }

  /**
   * Changes many records in one statement, all of them the same fields, and returns the ids of those that changed: not those that are gone,
   * that are so already, or that have another `version` than the one given with them. References are checked by the foreign keys alone.
   */
  async function updateMany(
    ctx: Context,
    changes: (Changes & { id: number; version?: number })[]
  ): Promise<number[]> {
    if (changes.length === 0) return []
    const fields = given(changes[0]!).filter(field => field !== 'id' && field !== 'version')
    const changing = compiled(`updateMany ${fields.join()}`, () => {
      const input = fields.map(field => columns[field]!)
      const shape = list([
        sql`id bigint, version integer`,
        ...input.map(column => sql`${sql.identifier(column.name)} ${sql.raw(column.getSQLType())}`)
      ])
      const set = list(
        input.map(({ name }) => sql`${sql.identifier(name)} = input.${sql.identifier(name)}`)
      )
      const differs = sql.join(
        input.map(
          ({ name }) =>
            sql`record.${sql.identifier(name)} is distinct from input.${sql.identifier(name)}`
        ),
        sql` or `
      )
      return sql`update ${relation} record set ${set}, version = record.version + 1, updated_at = now(), updated_by = ${place('actor')}::bigint
        from jsonb_to_recordset(${place('changes')}::text::jsonb) as input (${shape})
        where record.organization_id = ${place('organization')}::bigint and record.id = input.id and record.deleted_at is null
          and (input.version is null or record.version = input.version) and (${differs}) returning record.id`
    })
    const rows = await ctx.changing(
      changes.map(({ id }) => cacheKey(ctx, id)),
      send(ctx.connection, changing, { ...scope(ctx), changes: JSON.stringify(changes) })
    )
    return rows.map(({ id }) => id)
  }

  async function unchanged(ctx: Context, id: number, versions: Versions): Promise<Row> {
    const row = await get(ctx, id)
    if (versions && !versions.includes(row.version)) throw stale(row.version)
    return row
  }

  /** Why an update met no row: it throws the reason, returns the row if it was so already, or nothing if it would go by now. */
  async function whyNot(
    ctx: Context,
    id: number,
    fields: string[],
    values: { versions: Versions | null }
  ): Promise<Row | undefined> {
    const asking = compiled(`whyNot ${fields.join()}`, () => {
      const { differs, moved, sound } = updating(fields)
      const checks = sound.map(
        (check, i) => sql`, ${check} as ${sql.identifier(`?${moved[i]!.column.name}`)}`
      )
      return sql`select ${returning}, ${differs} as "?differs"${sql.join(checks)} from ${relation} where ${one} and deleted_at is null`
    })
    const [found] = (await run(ctx.connection, asking, {
      ...values,
      ...scope(ctx),
      id
    })) as (Record<string, unknown> & { version: number })[]
    if (!found) throw notFound(name)
    if (values.versions && !values.versions.includes(found.version)) throw stale(found.version)
    const dangling = Object.keys(found).filter(
      key => key.startsWith('?') && found[key] === false && key !== '?differs'
    )
    if (dangling.length > 0) throw unknownReference(dangling.map(key => key.slice(1)))
    if (found['?differs'] === true) return undefined
    return Object.fromEntries(Object.entries(found).filter(([key]) => !key.startsWith('?'))) as Row
  }

  /** Deletes softly: the record is gone for everybody until it is restored. Errors: 404, 412. */
  async function remove(ctx: Context, id: number, versions?: Versions): Promise<void> {
    if (await write(ctx, id, removing, { versions: versions ?? null })) return
    throw stale((await get(ctx, id)).version)
  }

  /** Brings a deleted record back; one that is there stays as it is. Errors: 404, 409 when something unique is taken by now. */
  async function restore(ctx: Context, id: number): Promise<Row> {
    return (await write(ctx, id, restoring, { versions: null })) ?? (await get(ctx, id))
  }

  /** The changes of a record that exists or existed, newest first. Errors: 404. */
  async function history(ctx: Context, id: number, query: ListQuery = {}): Promise<Page<EventRow>> {
    if ((await run(ctx.point, getAny, { ...scope(ctx), id })).length === 0) throw notFound(name)
    return await eventsOf(ctx, name, id, query)
  }

  return {
    ...lists<Row>(name, table, scopes),
    cacheKey,
    get,
    lock,
    find,
    create,
    createMany,
    update,
    updateMany,
    remove,
    restore,
    history
  }
}

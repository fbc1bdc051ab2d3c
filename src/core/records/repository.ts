import type { Context } from '../access/context.ts'
import { withAttempts } from '../attempts.ts'
import type { RecordTable } from '../db/columns.ts'
import type { Statement, Values } from '../db/sql.ts'
import { conflict, forbidden, notFound, stale, unknownReference } from '../errors.ts'
import { stateAsOf } from './as-of.ts'
import { eventsOf, type EventRow } from './events.ts'
import { Lists, type ListQuery, type Page } from './list.ts'
import { referencesOf, type Changes, type New, type Resource, type Row } from './resource.ts'
import type { Versioned } from './set-statements.ts'
import { given, setWrites } from './set-writes.ts'
import { Statements } from './statements.ts'

/** The versions that an `If-Match` allows; undefined: any. */
export type Versions = number[] | undefined

/** How often a write is tried that other writers overtake. */
const maxAttempts = 10

/** What the operations on the records of one resource share. */
class Records<R extends Versioned> {
  readonly resource: Resource
  readonly name: string
  readonly label: string
  readonly statements: Statements<R>

  constructor(resource: Resource) {
    this.resource = resource
    this.name = resource.name
    this.label = resource.label
    this.statements = new Statements<R>(resource)
  }

  cacheKey(ctx: Context, id: number): string {
    return `${ctx.organization_id}/${this.name}/${id}`
  }

  /** Errors: 404 for no record, 412 for one whose version is not among `versions`. */
  assertFound(row: R | undefined, versions?: Versions): R {
    if (!row) throw notFound(this.label)
    if (versions && !versions.includes(row.version)) throw stale(row.version)
    return row
  }

  /**
   * A record without what was selected beside its columns, whose names begin with `?`. Errors: 403
   * if the caller may not do `action` to it.
   */
  #allowed<Found extends R>(row: Found, action: 'update' | 'delete'): R {
    // null, where nobody is the owner
    if ((row as Values)[`?${action}`] !== true) throw forbidden(`${this.resource.path}:${action}`)
    const own = Object.entries(row).filter(([name]) => !name.startsWith('?'))
    return Object.fromEntries(own) as unknown as R
  }

  /** A locked record. Errors: 404, 403 if the caller may not change it, 412. */
  async lock(ctx: Context, id: number, versions?: Versions): Promise<R> {
    const row = this.assertFound(await ctx.one(this.statements.lock, { id }))
    return this.assertFound(this.#allowed(row, 'update'), versions)
  }

  /** Errors: 404, 403 if the caller may not do `action` to the record, deleted or not. */
  async assertAllowed(ctx: Context, id: number, action: 'update' | 'delete'): Promise<void> {
    const [row] = await ctx.read(this.statements.explain, { id })
    this.#allowed(this.assertFound(row), action)
  }

  /** Errors: 404, 409 for a record that requires one that is deleted. */
  async assertRestorable(ctx: Context, id: number): Promise<void> {
    const [remain] = await ctx.read(this.statements.parentsRemain, { id })
    if (!remain) throw notFound(this.label)
    const missing = referencesOf(this.resource).find(({ column }) => remain[column.name] === false)
    if (missing) throw conflict(`The ${missing.to.label} was deleted: restore it first.`)
  }

  /** One record. Errors: 404, 412. */
  async get(ctx: Context, id: number, versions?: Versions): Promise<R> {
    return this.assertFound((await ctx.read(this.statements.get, { id }))[0], versions)
  }

  /** One record, deleted or not. Errors: 404. */
  async getAny(ctx: Context, id: number): Promise<R> {
    return this.assertFound((await ctx.read(this.statements.getAny, { id }))[0])
  }

  /** Writes one record, and drops it from the cache. */
  async write(
    ctx: Context,
    id: number,
    statement: Statement<R>,
    values: Values
  ): Promise<R | undefined> {
    return (await ctx.write([this.cacheKey(ctx, id)], statement, { ...values, id }))[0]
  }

  /**
   * Why an update matched no row: it throws the reason, returns the record if the update changes
   * nothing, or undefined if it would match now.
   */
  async explainUpdate(
    ctx: Context,
    id: number,
    fields: string[],
    values: Values,
    versions: Versions
  ): Promise<R | undefined> {
    const statement = this.statements.explainUpdate(fields)
    const [found] = await ctx.read(statement, { ...values, id })
    const row = this.assertFound(found)
    const allowed = this.#allowed(row, 'update')
    this.assertFound(allowed, versions)
    const { '?update': _, '?differs': differs, ...checks } = row as Values
    const dangling = Object.entries(checks)
      .filter(([key, value]) => key.startsWith('?') && value === false)
      .map(([key]) => key.slice(1))
    if (dangling.length > 0) throw unknownReference(dangling)
    return differs === true ? undefined : allowed
  }
}

const reads = <R extends Versioned>(records: Records<R>, lists: Lists<R>) => ({
  cacheKey: (ctx: Context, id: number) => records.cacheKey(ctx, id),

  /** One page. Errors: 400 when the cursor is of another list. */
  list: async (ctx: Context, query: ListQuery = {}): Promise<Page<R>> =>
    await lists.list(ctx, query),

  /** The whole list in batches. */
  stream: (ctx: Context, query: ListQuery = {}): AsyncIterable<R[]> => lists.stream(ctx, query),

  // see `Lists`
  after: lists.after.bind(lists),
  first: lists.first.bind(lists),
  positionOf: lists.positionOf.bind(lists),
  matching: lists.matching.bind(lists),
  wouldMatch: lists.wouldMatch.bind(lists),

  /** One record. Errors: 404. */
  get: async (ctx: Context, id: number): Promise<R> => await records.get(ctx, id),

  /**
   * One record, which nobody else changes until the transaction of `ctx` has ended. Errors: 404,
   * 403 for one that the caller may not change, 412 when `versions` does not have its version.
   */
  lock: async (ctx: Context, id: number, versions?: Versions): Promise<R> =>
    await records.lock(ctx, id, versions),

  /** Those of the records that exist, by ID, in no order. */
  find: async (ctx: Context, ids: number[]): Promise<R[]> =>
    ids.length === 0 ? [] : await ctx.read(records.statements.find, { ids }),

  /** Like `find`, with the deleted records. */
  findWithDeleted: async (ctx: Context, ids: number[]): Promise<R[]> =>
    ids.length === 0 ? [] : await ctx.read(records.statements.findAny, { ids }),

  /**
   * One record, deleted or not, as it was at a moment: a date and time, or the end of a date where
   * the organization is. Errors: 404, also for one that did not exist yet.
   */
  async asOf(ctx: Context, id: number, moment: string): Promise<R> {
    const row = await records.getAny(ctx, id)
    return records.assertFound(await stateAsOf(ctx, records.resource, row, moment))
  },

  /** The changes of a record, deleted or not, newest first. Errors: 404. */
  async history(ctx: Context, id: number, query: ListQuery = {}): Promise<Page<EventRow>> {
    await records.getAny(ctx, id)
    return await eventsOf(ctx, records.name, id, query)
  }
})

const writes = <R extends Versioned, N extends object, C extends object>(records: Records<R>) => ({
  /** Creates a record. Errors: 422 for an unknown reference, 409 for a duplicate. */
  async create(ctx: Context, input: N): Promise<R> {
    const { statements } = records
    const fields = given(input)
    return await withAttempts(maxAttempts, async () => {
      const [row] = await ctx.write([], statements.insert(fields), input as Values)
      if (row) return row
      const [exist] = await ctx.read(statements.referencesExist(fields), input as Values)
      const dangling = Object.keys(exist!).filter(field => !exist![field])
      if (dangling.length > 0) throw unknownReference(dangling)
      return undefined // what it refers to was restored meanwhile
    })
  },

  /**
   * Changes the fields given and no others. An update that changes nothing keeps the version and
   * writes no event. Errors: 404, 403, 412 when `versions` does not have its version, 422, 409.
   */
  async update(ctx: Context, id: number, changes: C, versions?: Versions): Promise<R> {
    const fields = given(changes)
    if (fields.length === 0) {
      await records.assertAllowed(ctx, id, 'update')
      return await records.get(ctx, id, versions)
    }
    const values = { ...changes, versions: versions ?? null }
    return await withAttempts(maxAttempts, async () => {
      const updated = await records.write(ctx, id, records.statements.update(fields), values)
      return updated ?? (await records.explainUpdate(ctx, id, fields, values, versions))
    })
  },

  /** Deletes softly: the record can be restored. Errors: 404, 403, 412. */
  async remove(ctx: Context, id: number, versions?: Versions): Promise<void> {
    const values = { versions: versions ?? null }
    await withAttempts(maxAttempts, async () => {
      const removed = await records.write(ctx, id, records.statements.remove, values)
      // it throws, unless the record was restored meanwhile
      if (!removed) {
        await records.get(ctx, id)
        await records.assertAllowed(ctx, id, 'delete')
        await records.get(ctx, id, versions)
      }
      return removed
    })
  },

  /**
   * Restores a deleted record; one that is not deleted stays as it is. Errors: 404, 409 when a
   * unique value has been taken since, or when a record that it requires is deleted; 403.
   */
  async restore(ctx: Context, id: number): Promise<R> {
    const { restore, get } = records.statements
    return await withAttempts(maxAttempts, async () => {
      const restored = await records.write(ctx, id, restore, { versions: null })
      if (restored) return restored
      await records.assertAllowed(ctx, id, 'delete')
      const [row] = await ctx.read(get, { id })
      if (!row) await records.assertRestorable(ctx, id)
      return row
    })
  }
})

function createRepository<T extends RecordTable, H extends string>(resource: Resource<T, H>) {
  const records = new Records<Row<T, H>>(resource)
  const lists = new Lists<Row<T, H>>(resource)
  return {
    ...reads(records, lists),
    ...writes<Row<T, H>, New<T>, Changes<T>>(records),
    ...setWrites<New<T>, Changes<T>>(resource, (ctx, id) => records.cacheKey(ctx, id))
  }
}

/**
 * The operations on the records of one resource. All are limited to the organization of `ctx`; a
 * write is one statement; the table's trigger writes the events, `ctx` clears the cache.
 */
export type Repository<T extends RecordTable, H extends string> = ReturnType<
  typeof createRepository<T, H>
>

const repositories = new WeakMap<object, unknown>()

/** The repository of a resource; its statements are compiled once. */
export function repository<T extends RecordTable, H extends string>(
  resource: Resource<T, H>
): Repository<T, H> {
  const known = repositories.get(resource) as Repository<T, H> | undefined
  if (known) return known
  const created = createRepository(resource)
  repositories.set(resource, created)
  return created
}

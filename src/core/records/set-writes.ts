import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Context } from '../access/context.ts'
import { columnNamed, defaultsOf, isExternalIds } from '../db/columns.ts'
import { getTableConfig, is, SQL as Expression } from '../db/drizzle.ts'
import type { Statement, Values } from '../db/sql.ts'
import { conflict } from '../errors.ts'
import type { Resource } from './resource.ts'
import { SetStatements, type Stored, type Versioned } from './set-statements.ts'
import { columnsIn } from './visibility.ts'

/** The fields of `values` that are given. */
export const given = (values: object): string[] =>
  Object.keys(values)
    .filter(field => (values as Values)[field] !== undefined)
    .toSorted()

/** A record to be changed, and the version that it must have, if any. */
interface Target {
  id: number
  version?: number | undefined
}

/** The fields that a change of a record sets. */
const fieldsOf = (change: Target): string[] =>
  given(change).filter(field => field !== 'id' && field !== 'version')

const unique = new WeakMap<object, ReadonlySet<string>>()

/**
 * The fields of records whose values are unique, so that the order of changes decides which of them
 * gets one: `updateEach` is not for these. It knows external IDs.
 */
export function uniqueFields({ table }: Pick<Resource, 'table'>): ReadonlySet<string> {
  const known = unique.get(table)
  if (known) return known
  const columns = getTableConfig(table)
    .indexes.filter(({ config }) => config.unique)
    .flatMap(({ config }) => config.columns)
  const found = new Set(
    columns
      .flatMap(column => (is(column, Expression) ? columnsIn(column) : [column as PgColumn]))
      .map(({ name }) => name)
  )
  unique.set(table, found)
  return found
}

/** New records with all of these fields: those that one is not given have their defaults. */
function completed(inputs: object[], fields: string[], defaults: Values): object[] {
  const absent = Object.fromEntries(fields.map(field => [field, defaults[field] ?? null]))
  const isComplete = inputs.every(input => given(input).length === fields.length)
  return isComplete ? inputs : inputs.map(input => ({ ...absent, ...input }))
}

/** What the operations on many records of one resource share. */
interface Sets {
  resource: Resource
  statements: SetStatements
  cacheKey: (ctx: Context, id: number) => string
  /** Writes those records that can be, and returns them at their places in what is given. */
  writeEach: (
    ctx: Context,
    statement: Statement<Versioned>,
    targets: Target[]
  ) => Promise<(Versioned | undefined)[]>
}

/** What changes many records, and does not tell more of each. */
const bulkWrites = <N extends object, C extends object>({ statements, cacheKey }: Sets) => ({
  /**
   * Creates many records in one statement and returns how many. References are checked by the
   * foreign keys alone, which know no soft deletion. `inputs` need not have the same fields; an
   * absent one is null, or its default if none has it. Duplicates are left out.
   */
  async createMany(ctx: Context, inputs: (N & { created_at?: string })[]): Promise<number> {
    if (inputs.length === 0) return 0
    const fields = [...new Set(inputs.flatMap(given))].toSorted()
    const values = { inputs: JSON.stringify(inputs) }
    const [inserted] = await ctx.write([], statements.insertMany(fields), values)
    return inserted!.created
  },

  /**
   * Changes many records in one statement, all of them the same fields, and returns the IDs of
   * those that changed: not those that are deleted, that had these values, or that have another
   * version than `version`, if given. References are checked by the foreign keys alone.
   */
  async updateMany(ctx: Context, changes: (C & Target)[]): Promise<number[]> {
    if (changes.length === 0) return []
    const fields = fieldsOf(changes[0]!)
    const keys = changes.map(({ id }) => cacheKey(ctx, id))
    const values = { inputs: JSON.stringify(changes) }
    const rows = await ctx.write(keys, statements.updateMany(fields), values)
    return rows.map(({ id }) => id)
  }
})

/** What does for many records what single writes would do one after the other. */
const setsOfWrites = <N extends object, C extends object>({
  resource,
  statements,
  writeEach
}: Sets) => ({
  /**
   * Creates records in one statement, as `create` would one after the other, and returns them at
   * their places in what is given: undefined for those that refer to what does not exist. `whole`:
   * with all their fields. Errors: those of Postgres.
   */
  async createEach(ctx: Context, inputs: N[], whole: boolean): Promise<(Versioned | undefined)[]> {
    const fields = [...new Set(inputs.flatMap(given))].toSorted()
    const values = { inputs: JSON.stringify(completed(inputs, fields, defaultsOf(resource.table))) }
    const written = await ctx.write([], statements.insertEach(fields, whole), values)
    const rows = written.toSorted((a, b) => a.id - b.id)
    if (rows.length === inputs.length) return rows
    const accepted = await ctx.rows(statements.accepted(fields), values)
    if (rows.length !== accepted.length) throw conflict('Others changed what these refer to.')
    const placed = new Map(accepted.map(({ place }, i) => [place - 1, rows[i]!]))
    return inputs.map((_, i) => placed.get(i))
  },

  /**
   * Changes records in one statement, all of them the same fields, as `update` would one after the
   * other, and returns them at their places in what is given: undefined for those that cannot be
   * changed. IDs are distinct, and no field is one of `uniqueFields`. `whole`: with all their
   * fields. Errors: those of Postgres; 409 if external IDs cannot all be set.
   */
  async updateEach(
    ctx: Context,
    changes: (C & Target)[],
    whole: boolean
  ): Promise<(Versioned | undefined)[]> {
    const fields = fieldsOf(changes[0]!)
    const rows = await writeEach(ctx, statements.updateEach(fields, whole), changes)
    // which of them are free depends on the order
    const isOrdered = fields.some(field => isExternalIds(columnNamed(resource.table, field)))
    if (isOrdered && rows.includes(undefined)) throw conflict('An external ID is taken.')
    return rows
  },

  /** Like `updateEach`, for `remove`. */
  async removeEach(ctx: Context, targets: Target[]): Promise<(Versioned | undefined)[]> {
    return await writeEach(ctx, statements.removeEach(), targets)
  },

  /** Like `updateEach`, for `restore`. */
  async restoreEach(
    ctx: Context,
    targets: Target[],
    whole: boolean
  ): Promise<(Versioned | undefined)[]> {
    return await writeEach(ctx, statements.restoreEach(whole), targets)
  },

  /**
   * Locks records, deleted or not, in the order of their IDs until the transaction ends. Returns
   * those that the caller reads.
   */
  async hold(ctx: Context, ids: number[]): Promise<Versioned[]> {
    return await ctx.rows(statements.hold, { ids })
  }
})

/** What only undoing does. The caller's rights to each record and field are up to it. */
const reverts = ({ statements, cacheKey }: Sets) => ({
  /** Those of the records that exist, deleted or not, in the order of their IDs, and locked. */
  lockMany: async (ctx: Context, ids: number[]): Promise<Stored[]> =>
    await ctx.rows(statements.lockMany, { ids }),

  /**
   * Gives locked records earlier values, all of them of the same fields, and returns the IDs of
   * those that changed. `deleted_at` is one of the fields. Errors: those of Postgres.
   */
  async revertMany(
    ctx: Context,
    changes: (Values & { id: number; version: number })[]
  ): Promise<number[]> {
    const fields = fieldsOf(changes[0]!)
    const keys = changes.map(({ id }) => cacheKey(ctx, id))
    const values = { inputs: JSON.stringify(changes) }
    const rows = await ctx.write(keys, statements.revertMany(fields), values)
    return rows.map(({ id }) => id)
  }
})

/** The operations on many records of one resource. */
export function setWrites<N extends object, C extends object>(
  resource: Resource,
  cacheKey: Sets['cacheKey']
) {
  const sets: Sets = {
    resource,
    statements: new SetStatements(resource),
    cacheKey,
    async writeEach(ctx, statement, targets) {
      const keys = targets.map(({ id }) => cacheKey(ctx, id))
      const values = { inputs: JSON.stringify(targets) }
      const rows = await ctx.write(keys, statement, values)
      const byId = new Map(rows.map(row => [row.id, row]))
      return targets.map(({ id }) => byId.get(id))
    }
  }
  return { ...bulkWrites<N, C>(sets), ...setsOfWrites<N, C>(sets), ...reverts(sets) }
}

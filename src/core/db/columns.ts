import type { SQL } from 'drizzle-orm'
import type { AnyPgColumn, PgColumn, PgTable } from 'drizzle-orm/pg-core'
import {
  bigint,
  customType,
  foreignKey,
  getTableColumns,
  index,
  integer,
  is,
  numeric,
  primaryKey,
  sql,
  SQL as Expression,
  timestamp
} from './drizzle.ts'

/** A 64-bit identifier; a JavaScript number, safe up to 2^53. */
export const identifier = () => bigint({ mode: 'number' })

/** A point in time: ISO 8601 in UTC with milliseconds, on the wire and in rows. */
export const instant = () => timestamp({ withTimezone: true, precision: 3, mode: 'string' })

/** An amount with two decimals; a JavaScript number, exact up to `digits` (≤ 15) digits. */
export const money = (digits: number) => numeric({ precision: digits, scale: 2, mode: 'number' })

/**
 * The columns every record starts with. `organization_id` and the users in `created_by` and
 * `updated_by` come from the credential, never from a request, so they carry no foreign key: one
 * would lock the same few rows in every write.
 */
export const record = () => ({
  id: identifier().notNull().generatedAlwaysAsIdentity(),
  organization_id: identifier().notNull(),
  version: integer().notNull().default(1),
  created_at: instant().notNull().defaultNow(),
  created_by: identifier(),
  updated_at: instant().notNull().defaultNow(),
  updated_by: identifier(),
  deleted_at: instant()
})

export type RecordTable = PgTable & Record<keyof ReturnType<typeof record>, PgColumn>

/** Columns that no caller sees, in any table. A resource may hide more (`hidden`). */
export const internalColumns = ['organization_id', 'search_text'] as const
export type InternalColumn = (typeof internalColumns)[number]

/** IDs of other records of the organization; arrays have no foreign keys, so code checks them. */
export const idList = () => identifier().array().notNull().default([])

/**
 * When a record entered its current stage or status. `CALL watch_moves(…)` in the migration of the
 * table keeps it, and logs each transition.
 */
export const movedAt = () => instant().notNull().defaultNow()

const plainText = customType<{ data: string }>({ dataType: () => 'text' })

/**
 * The text that `q` and `[like]` search: the words of these columns in their normal form, generated
 * by Postgres. Of `phones`, which are among them, it has the digits as one word as well.
 */
export function searchText(columns: readonly string[], phones: readonly string[] = []) {
  const parts = [
    ...columns.map(name => `"${name}"`),
    ...phones.map(name => `search_phone("${name}")`)
  ]
  return plainText()
    .notNull()
    .generatedAlwaysAs(sql.raw(`search_text(${parts.join(', ')})`))
}

/** Columns that hold email addresses, which are compared without case. */
const isEmail = ({ name }: PgColumn): boolean => name === 'email'
/** What a column can hold, if that is a list. The columns of an index know it by their config. */
const valuesOf = (column: PgColumn): readonly string[] =>
  column.enumValues ??
  (column as unknown as { config: { enumValues?: string[] } }).config.enumValues ??
  []

/** The collation of names: as in an address book, and the same in every database. */
const addressBook = sql.raw('collate address_book')

/**
 * What lists compare and sort by, of a column or a value for it: an email address without case and
 * with the ASCII form of its domain, a name as in an address book, the place of a value in the
 * order of its meaning. Two values have the same key only if a list takes them for the same.
 */
export function keyOf(column: PgColumn, value: SQL | PgColumn = column): SQL | PgColumn {
  const text = value === column ? sql`${value}` : sql`${value}::text`
  if (isEmail(column)) return sql`email_key(${text}) ${addressBook}`
  const values = valuesOf(column)
  if (values.length > 0) return placeAmong(values, text)
  return column.columnType === 'PgVarchar' ? sql`${text} ${addressBook}` : value
}

/** The keys of a list of values. */
export const keysOf = (column: PgColumn, values: SQL): SQL =>
  isEmail(column) || valuesOf(column).length > 0
    ? sql`array(select ${keyOf(column, sql`value`)} from unnest(${values}::text[]) value)`
    : values

const placeAmong = (values: readonly string[], value: SQL): SQL => {
  const inOrder = values.map(one => `'${one}'`).join(', ')
  return sql`array_position(array[${sql.raw(inOrder)}]::text[], ${value}::text)`
}

type Keys = Pick<RecordTable, 'id' | 'organization_id' | 'deleted_at'> & {
  search_text?: AnyPgColumn
}
const alive = (t: Keys): SQL => sql`${t.deleted_at} is null`

/** The keys of a record table: its primary key, its deleted rows, and its text search if any. */
export function recordKeys(table: string, t: Keys) {
  const { search_text } = t
  return [
    primaryKey({
      name: `${table}_key`,
      columns: [t.organization_id as AnyPgColumn, t.id as AnyPgColumn]
    }),
    index(`idx_${table}_deleted`)
      .on(t.organization_id, t.id)
      .where(sql`${t.deleted_at} is not null`),
    ...(search_text ? [searchIndex(table, { ...t, search_text })] : [])
  ]
}

/** A short pending list: inserts stay cheap, and a search reads at most 512 kB of it. */
const searchIndex = (table: string, t: Keys & { search_text: AnyPgColumn }) =>
  index(`idx_${table}_search`)
    .using('gin', sql`${t.organization_id} int8_ops`, sql`${t.search_text} gin_trgm_ops`)
    .with({ gin_pending_list_limit: 512 })
    .where(alive(t))

/** The index for filters on a list of IDs; rows with an empty list are not in it. */
export function idListIndex<T extends Keys>(table: string, t: T, column: keyof T & string) {
  const list = t[column] as AnyPgColumn
  return index(`idx_${table}_${column}`)
    .using('gin', sql`${t.organization_id} int8_ops`, list)
    .where(sql`${alive(t)} and ${list} <> '{}'`)
}

/** One index for each column that lists filter or sort by, in either direction; ties by `id`. */
export function listIndexes<T extends Keys>(
  table: string,
  t: T,
  columns: readonly (keyof T & string)[]
) {
  return columns.map(name =>
    index(`idx_${table}_${name}`)
      .on(t.organization_id, keyOf(t[name] as PgColumn), t.id)
      .where(alive(t))
  )
}

/** The index that finds records by a key: an expression, such as a name without its accents. */
export const keyIndex = (table: string, t: Keys, name: string, key: SQL) =>
  index(`idx_${table}_${name}_key`).on(t.organization_id, key).where(alive(t))

/** A foreign key within the organization: a record cannot point into another one. */
export function reference<T extends Keys>(
  table: string,
  t: T,
  column: keyof T & string,
  to: Keys | (() => Keys)
) {
  const target = typeof to === 'function' ? to() : to
  return foreignKey({
    name: `${table}_${column}_reference`,
    columns: [t.organization_id as AnyPgColumn, t[column] as AnyPgColumn],
    foreignColumns: [target.organization_id as AnyPgColumn, target.id as AnyPgColumn]
  })
}

/** The columns of a table but the hidden ones: `id`, its own, then those that every record has. */
export function visibleColumns(
  table: PgTable,
  hidden: readonly string[] = []
): Record<string, PgColumn> {
  const { id, ...columns } = getTableColumns(table)
  const common = Object.keys(record())
  const visible = Object.entries(columns).filter(
    ([name]) => !hidden.includes(name) && !(internalColumns as readonly string[]).includes(name)
  )
  return Object.fromEntries([
    ['id', id!],
    ...visible.filter(([name]) => !common.includes(name)),
    ...visible.filter(([name]) => common.includes(name))
  ])
}

/** The constant defaults of the columns of a table. */
export const defaultsOf = (table: PgTable): Record<string, unknown> =>
  Object.fromEntries(
    Object.values(getTableColumns(table))
      .filter(column => column.default !== undefined && !is(column.default, Expression))
      .map(column => [column.name, column.default])
  )

/**
 * The column of a table by its name. The columns of a foreign key are stand-ins that do not know
 * their type; these do.
 */
export const columnNamed = (table: PgTable, name: string): PgColumn =>
  (table as unknown as Record<string, PgColumn>)[name]!

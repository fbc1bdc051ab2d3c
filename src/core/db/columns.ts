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

/** A point in time: an ISO-8601 string in UTC with milliseconds, on the wire and in rows (see `core/db/database`). */
export const instant = () => timestamp({ withTimezone: true, precision: 3, mode: 'string' })

/** An amount with two decimals; a JavaScript number in rows, exact up to `digits` (≤ 15) significant digits. */
export const money = (digits: number) => numeric({ precision: digits, scale: 2, mode: 'number' })

/**
 * The columns every record starts with. `organization_id` and the users in `created_by` and `updated_by` come from the
 * credential, never from a request, so they carry no foreign key: one would lock the same few rows in every write.
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

/** Columns that never leave the database: not in rows, not in events, not on the wire. */
export const hidden = ['organization_id', 'search_text', 'password_hash'] as const
export type Hidden = (typeof hidden)[number]

export type RecordTable = PgTable & Record<keyof ReturnType<typeof record>, PgColumn>

/** The numbers of the tags on a record. They point at tags of the organisation: `CALL watch_tags(…)` in the table's migration. */
export const tags = () => identifier().array().notNull().default([])

/** When a record came to its present stage or status: `CALL watch_moves(…)` in the table's migration keeps it, and logs each move. */
export const movedAt = () => instant().notNull().defaultNow()

const plainText = customType<{ data: string }>({ dataType: () => 'text' })

/** The text that `q` and `[like]` look into: these columns, lower-case and without accents, kept by Postgres itself. */
export const searchText = (columns: readonly string[]) =>
  plainText()
    .notNull()
    .generatedAlwaysAs(sql.raw(`search_text(${columns.map(name => `"${name}"`).join(', ')})`))

type Keys = Pick<RecordTable, 'id' | 'organization_id' | 'deleted_at'> & {
  search_text?: AnyPgColumn
  tags?: AnyPgColumn
}
const alive = (t: Keys): SQL => sql`${t.deleted_at} is null`

/** The primary key of a record table, the index of its deleted rows, and those of the text search and of the tags if there are any. */
export function recordKeys(table: string, t: Keys) {
  return [
    primaryKey({
      name: `${table}_key`,
      columns: [t.organization_id as AnyPgColumn, t.id as AnyPgColumn]
    }),
    index(`idx_${table}_deleted`)
      .on(t.organization_id, t.id)
      .where(sql`${t.deleted_at} is not null`),
    // A short pending list: an insert stays cheap, and a search never reads more than half a megabyte of unsorted entries.
    ...(t.search_text
      ? [
          index(`idx_${table}_search`)
            .using('gin', sql`${t.organization_id} int8_ops`, sql`${t.search_text} gin_trgm_ops`)
            .with({ gin_pending_list_limit: 512 })
            .where(alive(t))
        ]
      : []),
    // what has no tags costs nothing
    ...(t.tags
      ? [
          index(`idx_${table}_tags`)
            .using('gin', sql`${t.organization_id} int8_ops`, t.tags)
            .where(sql`${alive(t)} and ${t.tags} <> '{}'`)
        ]
      : [])
  ]
}

/** One index for each column that lists filter or sort by: either direction, ties in order of `id`. */
export function listIndexes<T extends Keys>(
  table: string,
  t: T,
  columns: readonly (keyof T & string)[]
) {
  return columns.map(name =>
    index(`idx_${table}_${name}`)
      .on(t.organization_id, t[name] as PgColumn, t.id)
      .where(alive(t))
  )
}

/** A foreign key within the organisation: whatever the code does, a record cannot point into another one. */
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

/** The columns of a record that are shown to callers, by name: its number, its own, and then those every record has. */
export function shownColumns(table: PgTable): Record<string, PgColumn> {
  const { id, ...columns } = getTableColumns(table)
  const common = Object.keys(record())
  const shown = Object.entries(columns).filter(
    ([name]) => !(hidden as readonly string[]).includes(name)
  )
  return Object.fromEntries([
    ['id', id!],
    ...shown.filter(([name]) => !common.includes(name)),
    ...shown.filter(([name]) => common.includes(name))
  ])
}

/** The static defaults of the columns of a table: what a new row has where nothing is given. */
export const defaultsOf = (table: PgTable): Record<string, unknown> =>
  Object.fromEntries(
    Object.values(shownColumns(table))
      .filter(column => column.default !== undefined && !is(column.default, Expression))
      .map(column => [column.name, column.default])
  )

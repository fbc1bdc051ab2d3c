import type { SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { keyOf } from '../db/columns.ts'
import { and, sql } from '../db/drizzle.ts'
import type { Position } from './cursor.ts'

/** One key that a list is sorted by. Nulls come last in either direction. */
export interface SortKey {
  field: string
  descending: boolean
  column: PgColumn
  nullable: boolean
}

const comparison = {
  after: { ascending: sql.raw('>'), descending: sql.raw('<') },
  from: { ascending: sql.raw('>='), descending: sql.raw('<=') }
}
const direction = ({ descending }: SortKey) => (descending ? 'descending' : 'ascending')
const keyOfRow = ({ column }: SortKey) => keyOf(column)
/** The key of the position's value, of the placeholder `k0`, `k1` …. */
const keyOfPosition = ({ column }: SortKey, i: number) =>
  keyOf(column, sql`${sql.placeholder(`k${i}`)}`)

/**
 * The rows beyond the position `at` in the order of `keys`, with placeholders `k0`, `k1` …. One
 * range on an index where all keys run the same way, otherwise a range on the first key and a
 * condition within it.
 */
export function rowsAfter(keys: SortKey[], at: Position): SQL {
  const [first] = keys as [SortKey]
  const uniform = keys.every(key => key.descending === first.descending && !key.nullable)
  if (uniform) {
    const columns = sql.join(keys.map(keyOfRow), sql`, `)
    const values = sql.join(keys.map(keyOfPosition), sql`, `)
    return sql`(${columns}) ${comparison.after[direction(first)]} (${values})`
  }
  const from = comparison.from[direction(first)]
  const range = sql`${keyOfRow(first)} ${from} ${keyOfPosition(first, 0)}`
  return and(first.nullable ? undefined : range, afterKey(keys, at, 0))!
}

function afterKey(keys: SortKey[], at: Position, i: number): SQL {
  const key = keys[i]!
  const { nullable } = key
  const isLast = i === keys.length - 1
  if (at[i] === null)
    return isLast ? sql`false` : sql`(${keyOfRow(key)} is null and ${afterKey(keys, at, i + 1)})`
  const beyond = sql`${keyOfRow(key)} ${comparison.after[direction(key)]} ${keyOfPosition(key, i)}`
  const after = nullable ? sql`(${beyond} or ${keyOfRow(key)} is null)` : beyond
  if (isLast) return after
  const tied = sql`${keyOfRow(key)} = ${keyOfPosition(key, i)}`
  return sql`(${after} or (${tied} and ${afterKey(keys, at, i + 1)}))`
}

/** A sort key as SQL. Ascending order has its nulls last by itself, as has the index. */
export function orderBy({ column, descending, nullable }: SortKey): SQL {
  if (!descending) return sql`${keyOf(column)} asc`
  return nullable ? sql`${keyOf(column)} desc nulls last` : sql`${keyOf(column)} desc`
}

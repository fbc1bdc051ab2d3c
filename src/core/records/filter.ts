import type { TSchema } from '@sinclair/typebox'
import { Type } from '@sinclair/typebox'
import type { SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { keyOf, keysOf } from '../db/columns.ts'
import { sql } from '../db/drizzle.ts'
import { actor, timeZone } from '../db/sql.ts'
import { refersTo, searchColumn, type Searchable } from './search.ts'

export const operators = [
  'eq',
  'in',
  'gt',
  'gte',
  'lt',
  'lte',
  'like',
  'null',
  'any',
  'all'
] as const
export type Operator = (typeof operators)[number]

/**
 * `value` is of the column's type; a list of it for `in`, `any` and `all`, a boolean for `null`,
 * text for `like`.
 */
export interface Filter {
  field: string
  operator: Operator
  value: unknown
  /** Whether it compares instants with a day, which begins where the organization is. */
  isDay?: true
}

/** Filters for equality: `equal({ pipeline_id: 1, stage: 'won' })`. */
export const equal = (values: Record<string, unknown>): Filter[] =>
  Object.entries(values).map(([field, value]) => ({ field, operator: 'eq', value }))

/**
 * A filter that is not a field: its schema as a parameter, and its condition on a row of the table.
 * A boolean one is negated by `false`. One without a condition is replaced by the service. `reads`:
 * columns that it tells something about without naming them.
 */
export interface VirtualFilter {
  schema: TSchema
  condition?: (value: SQL) => SQL
  reads?: PgColumn[]
}
export type VirtualFilters = Readonly<Record<string, VirtualFilter>>

/** The filter for records that are the caller's own. */
export const mine = (user: PgColumn): VirtualFilter => ({
  schema: Type.Boolean({ description: 'Assigned to the caller.' }),
  condition: () => sql`(${user} is not null and ${user} = ${actor})`
})

const comparison = {
  eq: sql.raw('='),
  gt: sql.raw('>'),
  gte: sql.raw('>='),
  lt: sql.raw('<'),
  lte: sql.raw('<=')
}

/** A filter as a condition on its column. `like` ignores case, accents and punctuation. */
export function columnCondition(column: PgColumn, filter: Filter, given: SQL): SQL {
  const value = filter.isDay ? beginningOf(given) : given
  switch (filter.operator) {
    case 'in':
      return sql`${keyOf(column)} = any(${keysOf(column, value)})`
    case 'any':
      return sql`(${column} <> '{}' and ${column} && ${value})`
    case 'all':
      return sql`(${column} <> '{}' and ${column} @> ${value})`
    case 'null':
      return filter.value === true
        ? sql`${keyOf(column)} is null`
        : sql`${keyOf(column)} is not null`
    case 'like':
      return sql`search_text(${column}) like search_pattern(${value})`
    default:
      return sql`${keyOf(column)} ${comparison[filter.operator]} ${keyOf(column, value)}`
  }
}

/** The instant at which a day begins where the organization is. */
const beginningOf = (day: SQL) => sql`(${day}::text::timestamp at time zone ${timeZone})`

/** Whether a moment, which is a date or a date and time, is a date: the whole day. */
export const isDay = (moment: string): boolean => moment.length === 10

/** The day after a day, `infinity` after the last one. */
export function dayAfter(day: string): string {
  const date = new Date(`${day}T00:00:00Z`)
  date.setUTCDate(date.getUTCDate() + 1)
  const isLast = date.getUTCFullYear() > 9999
  return isLast ? 'infinity' : date.toISOString().slice(0, 10)
}

/** The condition that an instant is after a moment. */
export const isAfter = (instant: SQL | PgColumn, moment: string): SQL =>
  isDay(moment)
    ? sql`${instant} >= ${beginningOf(sql`${dayAfter(moment)}`)}`
    : sql`${instant} > ${moment}::timestamptz`

/** What filters apply to: the columns of a table that callers see, and what it has beside them. */
export interface Filterable extends Searchable {
  columns: Record<string, PgColumn>
  virtualFilters?: VirtualFilters
}

/** A filter as a condition on a row of the table, in a form that its indexes serve. */
export function condition(filterable: Filterable, filter: Filter, value: SQL): SQL {
  const { table, columns, virtualFilters = {}, relatedRecords } = filterable
  const [name, field] = filter.field.split('.') as [string, string?]
  if (field !== undefined) {
    const reference = relatedRecords!()[name]!
    return refersTo(reference, condition(reference.to, { ...filter, field }, value))
  }
  const column = columns[filter.field]
  if (column) {
    const exact = columnCondition(column, filter, value)
    if (filter.operator !== 'like') return exact
    // the index on the text of the whole record finds the candidates
    return sql`(${searchColumn(table)} like search_pattern(${value}) and ${exact})`
  }
  const virtual = virtualFilters[filter.field]
  if (!virtual?.condition) throw new Error(`there is no condition for ${filter.field}`)
  const matches = virtual.condition(value)
  return filter.value === false ? sql`not (${matches})` : matches
}

/** What of a filter is in the SQL, and not a value of it. */
export const filterShape = ({ field, operator, value, isDay }: Filter) => [
  field,
  operator,
  isDay,
  typeof value === 'boolean' && value
]

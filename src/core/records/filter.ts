import type { SQL } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { sql } from '../db/drizzle.ts'

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

/** `value` is of the column's type; a list of it for `in`, `any` and `all`, a boolean for `null`, text for `like`. */
export interface Filter {
  field: string
  operator: Operator
  value: unknown
}

/**
 * Filters that are no columns, by name: each makes a condition on a row of the table from its value. One that takes no value is asked
 * for as a boolean, and turned round by `false`. `sql.placeholder('actor')` is who asks.
 */
export type Scopes = Record<string, (value: SQL) => SQL>

/** The scope of records that are who asks' own. */
export const isAsker = (user: PgColumn) => () =>
  sql`(${user} is not null and ${user} = ${sql.placeholder('actor')})`

const compare = {
  eq: sql.raw('='),
  gt: sql.raw('>'),
  gte: sql.raw('>='),
  lt: sql.raw('<'),
  lte: sql.raw('<=')
}

/** A filter as a condition on the column. Text is compared without case and accents by `like`. */
export function exactly(column: PgColumn, { operator, value: asked }: Filter, value: SQL): SQL {
  switch (operator) {
    case 'in':
      return sql`${column} = any(${value})`
    case 'any':
      return sql`(${column} <> '{}' and ${column} && ${value})`
    case 'all':
      return sql`(${column} <> '{}' and ${column} @> ${value})`
    case 'null':
      return asked === true ? sql`${column} is null` : sql`${column} is not null`
    case 'like':
      return sql`search_text(${column}) like search_pattern(${value})`
    default:
      return sql`${column} ${compare[operator]} ${value}`
  }
}

/** The same on a row of the table, by its indexes: that of `like` is on the text of the whole record and finds the candidates. */
export function condition(
  table: PgTable,
  columns: Record<string, PgColumn>,
  scopes: Scopes,
  filter: Filter,
  value: SQL
): SQL {
  const { field, operator, value: asked } = filter
  const column = columns[field]
  if (column)
    return operator === 'like'
      ? sql`(${textOf(table)} like search_pattern(${value}) and ${exactly(column, filter, value)})`
      : exactly(column, filter, value)
  const scope = scopes[field]
  if (!scope) throw new Error(`there is no filter ${field}`)
  return asked === false ? sql`not (${scope(value)})` : scope(value)
}

export const textOf = (table: PgTable): PgColumn =>
  (table as unknown as { search_text: PgColumn }).search_text

/** What of a filter is in the SQL and not a parameter of it. */
export const shapeOf = ({ field, operator, value }: Filter) => [
  field,
  operator,
  typeof value === 'boolean' && value
]

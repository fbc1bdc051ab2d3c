import type { SQL } from 'drizzle-orm'
import type { Context } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { maxRows } from './schema.ts'

/** The filters of a report, by the names of its parameters, which have been validated. */
export type ReportQuery = Record<string, string | number | boolean | null>

export interface Report {
  data: object[]
  totals: object[]
  truncated: boolean
}

/**
 * The list that a row of a report counts: its path, and all `conditions` as a query string. Later
 * conditions replace earlier ones of the same name, null means that the field is null, and brackets
 * and commas are readable.
 */
export function listOf(
  list: string,
  ...conditions: ReportQuery[]
): { list: string; filter: string } {
  const parameters = conditions
    .flatMap(condition => Object.entries(condition))
    .map(([name, value]) => (value === null ? [`${name}[null]`, 'true'] : [name, String(value)]))
  const text = new URLSearchParams(Object.fromEntries(parameters)).toString()
  return { list, filter: text.replaceAll(/%(5B|5D|2C)/g, decodeURIComponent) }
}

/** Runs a query with grouping sets, whose totals come first, marked by `is_total`. */
export async function runGrouped<Cell extends object>(ctx: Context, query: SQL) {
  const rows = await ctx.aggregate<Cell & { is_total: number }>(sql`${query} limit ${maxRows + 1}`)
  const shown = rows.slice(0, maxRows)
  const cellOf = ({ is_total: _, ...cell }: Cell & { is_total: number }) => cell as unknown as Cell
  return {
    cells: shown.filter(({ is_total }) => is_total === 0).map(cellOf),
    totals: shown.filter(({ is_total }) => is_total > 0).map(cellOf),
    truncated: rows.length > maxRows
  }
}

import type { SQL } from 'drizzle-orm'
import type { Context } from '../../../core/access/context.ts'
import { query, run } from '../../../core/db/database.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { mostRows } from './schema.ts'

/** What a report was asked for: names of filters with their values, checked against its parameters. */
export type Asked = Record<string, string | number | boolean | null>
export interface Report {
  data: object[]
  totals: object[]
  truncated: boolean
}

export const organization = sql.placeholder('organization')

/**
 * The list whose rows add up to a row of a report: its path, and all `conditions` as a query string. A later condition replaces an earlier one
 * of the same name, null is what is absent, and brackets stay readable, as in the filters that people write.
 */
export function counted(list: string, ...conditions: Asked[]): { list: string; filter: string } {
  const parameters = Object.fromEntries(
    conditions
      .flatMap(condition => Object.entries(condition))
      .map(([name, value]) => (value === null ? [`${name}[null]`, 'true'] : [name, String(value)]))
  )
  return {
    list,
    filter: new URLSearchParams(parameters)
      .toString()
      .replaceAll(/%(5B|5D|2C)/g, decodeURIComponent)
  }
}

/** Runs a statement with grouping sets, whose rows begin with the totals, marked by `is_total`; those beyond the limit are left out. */
export async function grouped<Cell extends object>(
  ctx: Context,
  sets: SQL,
  values: Record<string, unknown>
) {
  const rows = await run(
    ctx.connection,
    query<Cell & { is_total: number }>(sql`${sets} limit ${mostRows + 1}`, false),
    values
  )
  const { totals = [], cells: shown = [] } = Object.groupBy(
    rows.slice(0, mostRows),
    ({ is_total }) => (is_total > 0 ? 'totals' : 'cells')
  )
  const told = ({ is_total: _, ...cell }: Cell & { is_total: number }) => cell as unknown as Cell
  return { cells: shown.map(told), totals: totals.map(told), truncated: rows.length > mostRows }
}

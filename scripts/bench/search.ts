import type postgres from 'postgres'
import type { Recorded } from './cases.ts'

export interface Found {
  term: string
  rows: number
  ours: number
  page: number
  total: number
}

/** What is done where there is no index for it: a look at every row. */
const columns = ['first_name', 'last_name', 'email', 'phone', 'company']
const matching = `organization_id = $1 and deleted_at is null
  and (${columns.map(name => `${name} ilike $2`).join(' or ')})`

/**
 * How long Postgres takes for a search, in ms: with `search` as the API sends it, and as a scan,
 * for a page and for its total.
 */
export async function compareSearch(
  sql: postgres.Sql,
  organization_id: number,
  search: Recorded,
  terms: string[]
): Promise<Found[]> {
  const found: Found[] = []
  for (const term of terms) {
    const given = search.parameters.map(value => (value === '$q' ? term : value))
    const scan = [organization_id, `%${term}%`]
    const [{ rows }] = (await sql`select count(*)::int as rows from contacts
        where organization_id = ${organization_id} and deleted_at is null
        and search_text like search_pattern(${term})`) as unknown as [{ rows: number }]
    found.push({
      term,
      rows,
      ours: await executionTime(sql, search.text, given),
      page: await executionTime(
        sql,
        `select * from contacts where ${matching} order by id desc limit 51`,
        scan
      ),
      total: await executionTime(sql, `select count(*) from contacts where ${matching}`, scan)
    })
  }
  return found
}

/** The median of five, as Postgres measures it, without planning and without the network. */
async function executionTime(sql: postgres.Sql, text: string, values: unknown[]): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < 5; i++) {
    const [row] = await sql.unsafe<{ 'QUERY PLAN': [{ 'Execution Time': number }] }[]>(
      `explain (analyze, timing off, format json) ${text}`,
      values as string[]
    )
    times.push(row!['QUERY PLAN'][0]['Execution Time'])
  }
  return median(times)
}

export const median = (values: number[]): number =>
  values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)]!

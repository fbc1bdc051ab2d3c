import type postgres from 'postgres'
import type { RecordedQuery } from './cases.ts'
import { median } from './median.ts'

/** Milliseconds of a search in the API, and of `ilike` for a page and for a total. */
export interface SearchFigures {
  term: string
  rows: number
  api: number
  page: number
  total: number
}

const columns = ['first_name', 'last_name', 'email', 'phone', 'company']
/** The condition of a search without an index. */
const ilikeCondition = `organization_id = $1 and deleted_at is null
  and (${columns.map(name => `${name} ilike $2`).join(' or ')})`

/** Compares `search`, the query of the API, with a sequential scan by `ilike`. */
export async function compareSearch(
  sql: postgres.Sql,
  organization_id: number,
  search: RecordedQuery,
  terms: string[]
): Promise<SearchFigures[]> {
  const figures: SearchFigures[] = []
  for (const term of terms) {
    const values = search.parameters.map(value => (value === '$q' ? term : value))
    const scanValues = [organization_id, `%${term}%`]
    const [counted] = await sql<{ rows: number }[]>`
      select count(*)::int as rows
      from contacts
      where organization_id = ${organization_id}
        and deleted_at is null
        and search_text like search_pattern(${term})`
    const page = `select * from contacts where ${ilikeCondition} order by id desc limit 51`
    const total = `select count(*) from contacts where ${ilikeCondition}`
    figures.push({
      term,
      rows: counted!.rows,
      api: await executionTime(sql, search.text, values),
      page: await executionTime(sql, page, scanValues),
      total: await executionTime(sql, total, scanValues)
    })
  }
  return figures
}

/** Median execution time of five runs, without planning and network. */
async function executionTime(sql: postgres.Sql, text: string, values: unknown[]): Promise<number> {
  const durations: number[] = []
  for (let i = 0; i < 5; i++) {
    const [row] = await sql.unsafe<{ 'QUERY PLAN': [{ 'Execution Time': number }] }[]>(
      `explain (analyze, timing off, format json) ${text}`,
      values as string[]
    )
    durations.push(row!['QUERY PLAN'][0]['Execution Time'])
  }
  return median(durations)
}

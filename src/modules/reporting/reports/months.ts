import type { ReportQuery } from './grouping.ts'

/** The first and the last month (`YYYY-MM`); null for no limit. */
export interface Months {
  from: string | null
  to: string | null
}

type Limit = ReportQuery[string]

/** When a day or an instant begins and ends, in UTC. */
const startOf = (limit: Limit) => Date.parse(String(limit))
const endOf = (limit: Limit) => startOf(limit) + (String(limit).length === 10 ? 86_400_000 : 0)

/** The days of months as filters of a field, as far as the report was limited to them. */
export function daysOf(field: string, { from, to }: Months, query: ReportQuery): ReportQuery {
  const [since, until] = [`${field}[gte]`, `${field}[lte]`]
  const days: ReportQuery = {}
  if (from !== null) {
    const first = `${from}-01`
    const { [since]: limit = first } = query
    days[since] = startOf(limit) > startOf(first) ? limit : first
  }
  if (to !== null) {
    const last = lastDayOf(to)
    const { [until]: limit = last } = query
    days[until] = endOf(limit) < endOf(last) ? limit : last
  }
  return days
}

function lastDayOf(month: string): string {
  const day = new Date(month)
  day.setUTCMonth(day.getUTCMonth() + 1, 0)
  return day.toISOString().slice(0, 10)
}

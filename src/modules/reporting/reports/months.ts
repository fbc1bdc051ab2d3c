import type { ReportQuery } from './grouping.ts'

/** The first and the last month (`YYYY-MM`); null for no limit. */
export interface Months {
  from: string | null
  to: string | null
}

type Limit = ReportQuery[string]

/** Milliseconds by which the clocks of a time zone are ahead of UTC. */
function offsetAt(instant: number, timeZone: string): number {
  const parts = new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' })
    .formatToParts(instant)
    .find(({ type }) => type === 'timeZoneName')!.value
  const [, sign, hours = 0, minutes = 0] = /GMT([+-])(\d+):(\d+)/.exec(parts) ?? []
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000
}

/** When a day or an instant begins and ends, in a time zone. */
function startOf(limit: Limit, timeZone: string): number {
  const time = Date.parse(String(limit))
  if (String(limit).length !== 10) return time
  return time - offsetAt(time - offsetAt(time, timeZone), timeZone)
}
const endOf = (limit: Limit, timeZone: string) =>
  startOf(limit, timeZone) + (String(limit).length === 10 ? 86_400_000 : 0)

/** The days of months as filters of a field, as far as the report was limited to them. */
export function daysOf(
  field: string,
  { from, to }: Months,
  query: ReportQuery,
  timeZone: string
): ReportQuery {
  const [since, until] = [`${field}[gte]`, `${field}[lte]`]
  const days: ReportQuery = {}
  if (from !== null) {
    const first = `${from}-01`
    const { [since]: limit = first } = query
    days[since] = startOf(limit, timeZone) > startOf(first, timeZone) ? limit : first
  }
  if (to !== null) {
    const last = lastDayOf(to)
    const { [until]: limit = last } = query
    days[until] = endOf(limit, timeZone) < endOf(last, timeZone) ? limit : last
  }
  return days
}

function lastDayOf(month: string): string {
  const day = new Date(month)
  day.setUTCMonth(day.getUTCMonth() + 1, 0)
  return day.toISOString().slice(0, 10)
}

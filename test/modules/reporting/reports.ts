import type { Call } from '../../support/app.ts'

export type Cell = string | number | null | undefined
export interface Row {
  list: string
  filter: string
  count: number
  amount?: number | null
  weighted?: number
  minutes?: number
  [field: string]: Cell
}
export interface Report {
  report: string
  data: Row[]
  totals: Row[]
  truncated: boolean
}
export const report = async (call: Call, path: string): Promise<Report> => {
  const answer = await call(`GET /api/reports/${path}`)
  if (answer.statusCode !== 200) throw new Error(`${path}: ${answer.body}`)
  return answer.json()
}
export const names = ['pipeline', 'forecast', 'funnel', 'sources', 'activity']

type Stored = Record<'amount' | 'probability' | 'duration_minutes', number | null>

/** The whole list of a cell, page by page. */
export async function listed(call: Call, { list, filter }: Row): Promise<Stored[]> {
  const rows: Stored[] = []
  for (let cursor = ''; ;) {
    const answer = await call(`GET ${list}?${filter}&limit=100${cursor}`)
    if (answer.statusCode !== 200) throw new Error(`${list}?${filter}: ${answer.body}`)
    const page = answer.json<{ data: Stored[]; next_cursor: string | null }>()
    rows.push(...page.data)
    if (page.next_cursor === null) return rows
    cursor = `&cursor=${page.next_cursor}`
  }
}
const cents = (amount: number | null) => Math.round((amount ?? 0) * 100)
const sum = (values: number[]) => values.reduce((a, b) => a + b, 0)
/** The numbers of a row as its list says them. */
export function addedUp(row: Row, rows: Stored[]) {
  return {
    count: rows.length,
    ...(typeof row.amount === 'number' && {
      amount: sum(rows.map(({ amount }) => cents(amount))) / 100
    }),
    ...(typeof row.weighted === 'number' && {
      weighted:
        Math.round(sum(rows.map(({ amount, probability }) => cents(amount) * probability!)) / 100) /
        100
    }),
    ...(typeof row.minutes === 'number' && {
      minutes: sum(rows.map(({ duration_minutes }) => duration_minutes ?? 0))
    })
  }
}

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

import type { Call } from '../../support/app.ts'

export type Json = Record<string, unknown>
export interface Rule {
  field: string
  operator: string
  value: string
  points: number
}
export interface Lead {
  id: number
  version: number
  contact_id: number | null
  source: string | null
  status: string
  score: number
  grade: string | null
  tags: number[]
}
export const rule = (field: string, operator: string, value: string, points = 1): Rule => ({
  field,
  operator,
  value,
  points
})
export const create = async <T = Lead>(call: Call, path: string, body: Json): Promise<T> => {
  const answer = await call(`POST ${path}`, body)
  if (answer.statusCode !== 201) throw new Error(answer.body)
  return answer.json()
}
export const model = async (call: Call, rules: Rule[], more: Json = {}) =>
  await create<{ id: number; version: number }>(call, '/api/scoring-models', {
    name: 'A model',
    rules,
    status: 'active',
    ...more
  })
export const lead = async (call: Call, id: number): Promise<Lead> =>
  (await call(`GET /api/leads/${id}`)).json()
export const all = async <T = Lead>(call: Call, path = '/api/leads'): Promise<T[]> =>
  (await call(`GET ${path}`, undefined, { accept: 'application/x-ndjson' })).body
    .trim()
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line) as T)

import type { Call } from '../../support/app.ts'

export type Created = Record<string, unknown> & {
  id: number
  version: number
  assigned_to: number | null
}
export let number = 0
export const unique = (name: string) => `${name} ${++number}`
export async function create(call: Call, resource: string, body: object = {}): Promise<Created> {
  const answer = await call(`POST /api/${resource}`, body)
  if (answer.statusCode !== 201) throw new Error(answer.body)
  return answer.json()
}
export const team = (call: Call, member_ids: number[]) =>
  create(call, 'teams', { name: unique('Team'), member_ids })
export const account = (call: Call, body: object = {}) =>
  create(call, 'accounts', { name: 'Corp', ...body })

import type { Call } from '../../support/app.ts'

export type Created = Record<string, unknown> & { id: number }
export async function create(call: Call, resource: string, body: object = {}): Promise<Created> {
  const answer = await call(`POST /api/${resource}`, body)
  if (answer.statusCode !== 201) throw new Error(answer.body)
  return answer.json()
}
export const contact = (call: Call, body: object = {}) =>
  create(call, 'contacts', { first_name: 'A', last_name: 'B', ...body })
export const campaign = (call: Call) => create(call, 'campaigns', { name: 'Fair' })
export const membersOf = async (call: Call, id: number): Promise<Created[]> =>
  (await call(`GET /api/campaign-members?campaign_id=${id}&sort=id&limit=200`)).json().data

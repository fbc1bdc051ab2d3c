import type { Call } from '../../support/app.ts'

export type Json = Record<string, unknown> & { id: number; version: number }
export const person = {
  first_name: 'Zoë',
  last_name: 'Müller',
  email: 'Zoe.Mueller@example.com',
  company: 'Müller & Söhne'
}
/** Creates a record and returns it. */
export async function create(call: Call, path: string, body: object): Promise<Json> {
  const created = await call(`POST /api/${path}`, body)
  if (created.statusCode !== 201) throw new Error(created.body)
  return created.json()
}
export const createLead = async (call: Call, contact: object | null = person, lead: object = {}) =>
  await create(call, 'leads', {
    ...(contact && { contact_id: (await create(call, 'contacts', contact)).id }),
    ...lead
  })
export const get = async (call: Call, path: string) => (await call(`GET /api/${path}`)).json<Json>()
export const total = async (call: Call, path: string) =>
  (await call(`GET /api/${path}?count=exact&limit=1`)).json<{ total: number }>().total
export const totals = async (call: Call) =>
  await Promise.all(
    ['leads', 'contacts', 'accounts', 'opportunities'].map(path => total(call, path))
  )
export const lenient = { prefer: 'handling=lenient' }

/** Converts a lead, and returns the conversion. */
export const convert = async (call: Call, { id }: Json, body: object = {}) =>
  (await call(`POST /api/leads/${id}/conversion`, body)).json()

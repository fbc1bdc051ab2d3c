import type { Call } from '../../support/app.ts'

export interface Change {
  field: string
  from: unknown
  to: unknown
  from_text: string | null
  to_text: string | null
}
export interface Entry {
  id: string
  at: string
  kind: string
  title: string
  actor: { id: number; username: string } | null
  activity?: { id: number; subject: string }
  assigned_to?: object | null
  changes?: Change[]
  links?: { type: string; id: number; name: string }[]
}
export const create = async (call: Call, request: string, body: object) => {
  const answer = await call(request, body)
  if (answer.statusCode >= 300) throw new Error(`${request}: ${answer.body}`)
  return answer.json() as { id: number }
}

// Roles with rights to single fields.
import type { organization } from './app.ts'

export const everything = ['read', 'create', 'update', 'delete', 'export'] as const
/** What most roles read. */
const settings = { resource: 'settings', actions: ['read'], reach: 'all' }

/** A user whose only role has these grants, beside reading settings. */
export async function userWith(
  { call, user }: Awaited<ReturnType<typeof organization>>,
  grants: object[]
) {
  const role = { name: `role ${Math.random()}`, grants: [settings, ...grants] }
  const created = await call('POST /api/roles', role)
  if (created.statusCode !== 201) throw new Error(created.body)
  const one = await user('user')
  await call(`PATCH /api/users/${one.user.id}`, { role_ids: [created.json().id] })
  return one
}

/** A grant that hides fields. */
export const hiding = (resource: string, ...hidden_fields: string[]) => ({
  resource,
  actions: everything,
  reach: 'all',
  hidden_fields
})
/** A grant that makes fields read-only. */
export const protecting = (resource: string, ...read_only_fields: string[]) => ({
  resource,
  actions: everything,
  reach: 'all',
  read_only_fields
})

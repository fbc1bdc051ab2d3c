export const roles = ['admin', 'user', 'viewer'] as const
export type Role = typeof roles[number]

/** Users are the business of admins, their names (`directory`) and what belongs to oneself (`me`) everybody's. */
const forAdmins = /^users:/
const forEverybody = /^me:/

/** Whether a role grants a permission, a string `resource:read` or `resource:write`. What is not granted is denied. */
export function allows (role: Role, permission: string): boolean {
  if (role === 'admin' || forEverybody.test(permission)) return true
  if (forAdmins.test(permission)) return false
  return role === 'user' || permission.endsWith(':read')
}

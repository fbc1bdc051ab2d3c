export const roles = ['admin', 'user', 'viewer'] as const
export type Role = (typeof roles)[number]

/** Users, and how the organisation works, are the business of admins; what belongs to oneself (`me`) is everybody's. */
const forAdmins =
  /^users:|^(assignment-rules|pipelines|scoring-models|stages|teams|territories):write$/
const forEverybody = /^me:/

/** Whether a role grants a permission, a string `resource:read` or `resource:write`. What is not granted is denied. */
export function allows(role: Role, permission: string): boolean {
  if (role === 'admin' || forEverybody.test(permission)) return true
  if (forAdmins.test(permission)) return false
  return role === 'user' || permission.endsWith(':read')
}

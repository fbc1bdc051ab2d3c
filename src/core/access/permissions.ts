export const roles = ['admin', 'user', 'viewer'] as const
export type Role = (typeof roles)[number]

/** Those who read, and those who write, unless a resource restricts it. */
export const readers: readonly Role[] = roles
export const writers: readonly Role[] = ['admin', 'user']

const permissions = new Map<string, readonly Role[]>()

/** Defines a permission, such as `resource:read`, and grants it to these roles and no others. */
export function definePermission(permission: string, granted: readonly Role[]): void {
  permissions.set(permission, granted)
}

/** Errors: of the program, for a permission that nobody defined; it stops the start. */
export function assertPermission(permission: string): void {
  if (!permissions.has(permission)) throw new Error(`the permission ${permission} is not defined`)
}

/** The permissions of a role, in alphabetical order. */
export const permissionsOf = (role: Role): string[] =>
  [...permissions.keys()].filter(permission => allows(role, permission)).toSorted()

/** Whether a role has a permission. What is not granted is denied. */
export function allows(role: Role, permission: string): boolean {
  return permissions.get(permission)?.includes(role) ?? false
}

export const roles = ['admin', 'user', 'viewer'] as const
export type Role = (typeof roles)[number]

const readers: readonly Role[] = roles
const writers: readonly Role[] = ['admin', 'user']
const exceptions = new Map<string, readonly Role[]>()

/**
 * Grants a permission, `resource:read` or `resource:write`, to these roles and no others. Without
 * it, every role reads, and every role but `viewer` writes.
 */
export function definePermission(permission: string, granted: readonly Role[]): void {
  exceptions.set(permission, granted)
}

/** Whether a role has a permission. What is not granted is denied. */
export function allows(role: Role, permission: string): boolean {
  const usual = permission.endsWith(':read') ? readers : writers
  return (exceptions.get(permission) ?? usual).includes(role)
}

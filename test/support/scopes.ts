/**
 * Whether an API token can have a permission, told apart from the code: it makes no tokens, users,
 * roles and ways to sign in.
 */
export const isScope = (permission: string): boolean =>
  !/^(me|api-tokens|invitations):/.test(permission) &&
  !/^(users|roles|organization|identity-providers):(create|update|delete)/.test(permission) &&
  !/^(webhooks|integrations):(create|update|delete)/.test(permission)

/** What every user and every token may do: what is in it has permissions of its own. */
export const everyones = new Set([
  'directory:read',
  'access:read',
  'organization:read',
  'batch:write',
  'events:read',
  'integrations:acknowledge'
])

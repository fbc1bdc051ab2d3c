/** What can be done with the records of a resource. */
export const actions = ['read', 'create', 'update', 'delete', 'export'] as const
export type Action = (typeof actions)[number]

/** Whose records an action reaches, from the narrowest to the widest. */
export const reaches = ['own', 'team', 'all'] as const
export type Reach = (typeof reaches)[number]

/** Kinds of resources, all of which a grant can name at once. */
export const groups = ['records', 'settings', 'administration'] as const
export type Group = (typeof groups)[number]

/** What a role allows to do with a resource, by its path, or with all of a group. */
export interface Grant {
  resource: string
  actions: Action[]
  reach: Reach
}

interface Permission {
  /** Who gets it: those with a grant for its resource or group, or every user. */
  group: Group | 'everyone'
  /** Whether the records belong to users, so that a grant may reach only some of them. */
  isOwned: boolean
}

const permissions = new Map<string, Permission>()

/** Defines a permission (`resource:action`). */
export function definePermission(permission: string, group: Group | 'everyone', isOwned = false) {
  permissions.set(permission, { group, isOwned })
}

/** Errors: of the program, for a permission that nobody defined; it stops the start. */
export function assertPermission(permission: string): void {
  if (!permissions.has(permission)) throw new Error(`the permission ${permission} is not defined`)
}

/**
 * What someone may do: the sum of the grants of their roles. Of several grants for an action the
 * one that reaches farthest counts.
 */
export class Access {
  /** The system itself may do everything. */
  static readonly unlimited = new Access([])

  readonly grants: readonly Grant[]
  readonly #reaches = new Map<string, Reach | undefined>()

  constructor(grants: readonly Grant[]) {
    this.grants = grants
  }

  /** Whose records a permission reaches; undefined without the permission. */
  reachOf(permission: string): Reach | undefined {
    if (this === Access.unlimited) return 'all'
    if (!this.#reaches.has(permission)) this.#reaches.set(permission, this.#find(permission))
    return this.#reaches.get(permission)
  }

  #find(permission: string): Reach | undefined {
    const { group, isOwned } = permissions.get(permission) ?? {}
    if (group === 'everyone') return 'all'
    const [path, action] = permission.split(':')
    const granted = this.grants
      .filter(({ resource }) => resource === path || resource === group)
      .filter(({ actions }) => (actions as readonly string[]).includes(action!))
      .map(({ reach }) => reach)
    if (granted.length === 0) return undefined
    return isOwned ? widest(granted) : 'all'
  }

  can(permission: string): boolean {
    return this.reachOf(permission) !== undefined
  }

  /** All permissions, in alphabetical order. */
  permissions(): string[] {
    return [...permissions.keys()].filter(permission => this.can(permission)).toSorted()
  }

  /** Whether it allows all that another one does. */
  covers(other: Access): boolean {
    return [...permissions.keys()].every(
      permission => placeOf(this.reachOf(permission)) >= placeOf(other.reachOf(permission))
    )
  }
}

/** The place of a reach in their order; -1 for none. */
const placeOf = (reach: Reach | undefined) => (reach === undefined ? -1 : reaches.indexOf(reach))
const widest = (granted: Reach[]) => granted.reduce((a, b) => (placeOf(a) >= placeOf(b) ? a : b))

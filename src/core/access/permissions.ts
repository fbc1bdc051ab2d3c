import { hash } from 'node:crypto'
/** What can be done with the records of a resource. */
export const actions = ['read', 'create', 'update', 'delete', 'export'] as const
export type Action = (typeof actions)[number]

/** Whose records an action reaches, from the narrowest to the widest. */
export const reaches = ['own', 'team', 'all'] as const
export type Reach = (typeof reaches)[number]

/** Kinds of resources, all of which a grant can name at once. */
export const groups = ['records', 'settings', 'administration'] as const
type Group = (typeof groups)[number]

/** How much a credential may risk, from the least to the most. */
export const risks = ['read', 'write', 'destructive'] as const
export type Risk = (typeof risks)[number]

const riskOfAction: Record<string, Risk> = {
  read: 'read',
  export: 'read',
  create: 'write',
  update: 'write',
  delete: 'destructive'
}

/** What a role allows to do with a resource, by its path, or with all of a group. */
export interface Grant {
  resource: string
  actions: Action[]
  reach: Reach
  /** Fields of the resource that it does not show, and that it shows but does not change. */
  hidden_fields?: string[]
  read_only_fields?: string[]
}

/** A part of what someone may do, for a credential of theirs. */
export interface Scope {
  /** Permissions, or `*` for all of them. */
  scopes: readonly string[]
  risk: Risk
}

/**
 * Who gets a permission: those with a grant for its resource or group; every user; every user, for
 * what is their own, and administrators for all of it (`own`; `personal` if no API token has it);
 * or everyone who is logged in.
 */
type Audience = Group | 'everyone' | 'own' | 'personal' | 'session'

interface Permission {
  audience: Audience
  /** Whether the records belong to users, so that a grant may reach only some of them. */
  isOwned: boolean
}

const permissions = new Map<string, Permission>()

/** Whether every user has a permission for what is their own. */
const isOfUsers = (audience: Audience | undefined) => audience === 'own' || audience === 'personal'

/** Defines a permission (`resource:action`). */
export function definePermission(permission: string, audience: Audience, isOwned = false): void {
  permissions.set(permission, { audience, isOwned })
}

/** Whether a permission was defined. */
export const isPermission = (permission: string): boolean => permissions.has(permission)

/** What a grant can name besides a group: the paths of permissions that roles give. */
export const grantablePaths = (): string[] => [
  ...new Set(
    [...permissions]
      .filter(([, { audience }]) => audience !== 'everyone' && audience !== 'session')
      .map(([permission]) => permission.split(':')[0]!)
  )
]

const actionOf = (permission: string) => permission.split(':')[1]!

/** What a credential must be allowed to risk to use a permission. */
export const riskOf = (permission: string): Risk => riskOfAction[actionOf(permission)] ?? 'read'

/** Whether everyone who is logged in has a permission: for their own session. */
export const isForSessions = (permission: string): boolean =>
  permissions.get(permission)?.audience === 'session'

/** Whether an API token can have a permission: it makes no tokens, users and roles. */
export function isForTokens(permission: string): boolean {
  const audience = permissions.get(permission)?.audience
  if (audience === undefined || audience === 'session' || audience === 'personal') return false
  return audience !== 'administration' || riskOf(permission) === 'read'
}

/**
 * Whether a session needs a step-up to use a permission: for changes of who may do what, which are
 * those that no API token makes.
 */
export const needsStepUp = (permission: string): boolean =>
  !isForSessions(permission) && !isForTokens(permission) && riskOf(permission) !== 'read'

/** Errors: of the program, for a permission that nobody defined; it stops the start. */
export function assertPermission(permission: string): void {
  if (!isPermission(permission)) throw new Error(`the permission ${permission} is not defined`)
}

/**
 * What someone may do: the sum of the grants of their roles. Of several grants for an action the
 * one that reaches farthest counts.
 */
export class Access {
  /** The system itself may do everything. */
  static readonly unlimited = new Access([])

  readonly #grants: readonly Grant[]
  readonly #scope: Scope | undefined
  readonly #reaches = new Map<string, Reach | undefined>()
  readonly #hidden = new Map<string, ReadonlySet<string>>()
  readonly #readOnly = new Map<string, ReadonlySet<string>>()
  #fingerprint: string | undefined

  /** `scope`: limits it for a credential other than a login. */
  constructor(grants: readonly Grant[], scope?: Scope) {
    this.#grants = grants
    this.#scope = scope
  }

  /** The same for those who may do the same. */
  get fingerprint(): string {
    return (this.#fingerprint ??= hash('sha256', JSON.stringify([this.#grants, this.#scope])))
  }

  /** Whether a credential may take a risk; a login may take any. */
  mayRisk(risk: Risk): boolean {
    return !this.#scope || risks.indexOf(risk) <= risks.indexOf(this.#scope.risk)
  }

  #isInScope(permission: string): boolean {
    if (!this.#scope) return true
    const { scopes } = this.#scope
    return isForTokens(permission) && (scopes.includes('*') || scopes.includes(permission))
  }

  /** Whose records a permission reaches; undefined without the permission. */
  reachOf(permission: string): Reach | undefined {
    if (this === Access.unlimited) return 'all'
    if (!this.#reaches.has(permission)) this.#reaches.set(permission, this.#find(permission))
    return this.#reaches.get(permission)
  }

  #find(permission: string): Reach | undefined {
    const { audience, isOwned } = permissions.get(permission) ?? {}
    if (audience === 'everyone') return 'all'
    if (!this.#isInScope(permission) || !this.mayRisk(riskOf(permission))) return undefined
    if (audience === 'session') return 'all'
    const granted = this.#grantsOf(permission).map(({ reach }) => reach)
    if (isOfUsers(audience)) granted.push('own')
    if (granted.length === 0) return undefined
    return isOwned ? widest(granted) : 'all'
  }

  #grantsOf(permission: string): Grant[] {
    const [path, action] = permission.split(':')
    const audience = permissions.get(permission)?.audience
    const group = isOfUsers(audience) ? 'administration' : audience
    return this.#grants
      .filter(({ resource }) => resource === path || resource === group)
      .filter(({ actions }) => (actions as readonly string[]).includes(action!))
  }

  /** The fields that a permission does not show: those that every grant of it hides. */
  hiddenFields(permission: string): ReadonlySet<string> {
    return this.#limitedFields(this.#hidden, permission, ({ hidden_fields = [] }) => hidden_fields)
  }

  /** The fields that a permission does not set: those that every grant of it protects or hides. */
  readOnlyFields(permission: string): ReadonlySet<string> {
    return this.#limitedFields(
      this.#readOnly,
      permission,
      ({ hidden_fields = [], read_only_fields = [] }) => [...hidden_fields, ...read_only_fields]
    )
  }

  /** What every grant of a permission limits. `known`: the answers of before. */
  #limitedFields(
    known: Map<string, ReadonlySet<string>>,
    permission: string,
    limitedBy: (grant: Grant) => string[]
  ): ReadonlySet<string> {
    const before = known.get(permission)
    if (before) return before
    const limited = inAll(this.#grantsOf(permission).map(grant => new Set(limitedBy(grant))))
    known.set(permission, limited)
    return limited
  }

  can(permission: string): boolean {
    return this.reachOf(permission) !== undefined
  }

  /** All permissions, in alphabetical order. */
  permissions(): string[] {
    return [...permissions.keys()].filter(permission => this.can(permission)).toSorted()
  }

  /** Whether it reaches everything that someone else with another one may reach. */
  coversRecordsOf(other: Access): boolean {
    return [...permissions.keys()].every(
      permission =>
        !other.can(permission) ||
        (this.reachOf(permission) === 'all' && this.#coversFieldsOf(other, permission))
    )
  }

  /** Whether it reaches only some of the records that it is about. */
  get isNarrow(): boolean {
    return [...permissions].some(
      ([permission, { audience }]) =>
        audience === 'records' && this.can(permission) && this.reachOf(permission) !== 'all'
    )
  }

  /** Whether it allows all that another one does. */
  covers(other: Access): boolean {
    return [...permissions.keys()].every(
      permission =>
        placeOf(this.reachOf(permission)) >= placeOf(other.reachOf(permission)) &&
        (!other.can(permission) || this.#coversFieldsOf(other, permission))
    )
  }

  #coversFieldsOf(other: Access, permission: string): boolean {
    return (
      this.hiddenFields(permission).isSubsetOf(other.hiddenFields(permission)) &&
      this.readOnlyFields(permission).isSubsetOf(other.readOnlyFields(permission))
    )
  }
}

/** What all of the sets have; nothing if there is no set. */
const inAll = (sets: Set<string>[]): ReadonlySet<string> =>
  sets.length === 0 ? new Set() : sets.reduce((a, b) => a.intersection(b))

/** The place of a reach in their order; -1 for none. */
const placeOf = (reach: Reach | undefined) => (reach === undefined ? -1 : reaches.indexOf(reach))
const widest = (granted: Reach[]) => granted.reduce((a, b) => (placeOf(a) >= placeOf(b) ? a : b))

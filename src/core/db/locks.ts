/**
 * Advisory locks of an organization, in the order in which a transaction takes them; row locks come
 * after all of them. Transactions that keep to one order never wait for each other in a circle.
 * Processes of two versions exclude each other by these names: to rename one, stop them all first.
 *
 * - `admins`: changes of who has which role: an organization keeps an admin, and users their roles
 * - `sales_process`: shared by changes that enter a stage, exclusive for changes of stages
 * - `rotation`: turns of teams, one queue for all teams
 * - `creation`, by keys: records that are only created if there is none with the key
 * - `scoring`: shared by what is scored, exclusive for changes of how it is scored
 * - `rescoring`: one batch at a time
 * - `hierarchy`: changes of parents, which must not form a cycle
 */
export const lockOrder = [
  'admins',
  'sales_process',
  'rotation',
  'creation',
  'scoring',
  'rescoring',
  'hierarchy'
] as const

export type LockName = (typeof lockOrder)[number]
/**
 * `scoring:shared` is held by any number of transactions at a time, `scoring` by one;
 * `creation/<key>` by one for each key. Locks of one name are taken in the order of their keys.
 */
export type Lock = LockName | `${LockName}:shared` | `${LockName}/${string}`

/** The lock for creating a record of a type with a key, of one field or of several. */
export const creationLock = (type: string, field: string, key: string): Lock =>
  `creation/${type} ${field} ${key}`

interface ParsedLock {
  name: LockName
  shared: boolean
  /** Empty without a key. */
  key: string
}

export function parseLock(lock: Lock): ParsedLock {
  const [, name, mode, key = ''] = /^(\w+)(:shared)?(?:\/(.*))?$/s.exec(lock)!
  return { name: name as LockName, shared: mode !== undefined, key }
}

/** The order of two locks: that of their names, then of their keys. */
export function compareLocks(a: Lock, b: Lock): number {
  const [first, second] = [parseLock(a), parseLock(b)]
  const byName = lockOrder.indexOf(first.name) - lockOrder.indexOf(second.name)
  if (byName !== 0 || first.key === second.key) return byName
  return first.key < second.key ? -1 : 1
}

/**
 * Throws if a transaction that holds `held` must not wait for `wanted`: it holds a later one, or
 * the same one, shared, which two transactions could hold while both want it alone.
 */
export function assertLockOrder(held: readonly Lock[], wanted: Lock): void {
  const ahead = held.find(lock => {
    const order = compareLocks(lock, wanted)
    const isUpgrade = order === 0 && parseLock(lock).shared && !parseLock(wanted).shared
    return isUpgrade || order > 0
  })
  if (ahead !== undefined)
    throw new Error(`lock ${wanted} is taken after ${ahead}: see lockOrder in core/db/locks.ts`)
}

const isShared = (lock: Lock): boolean => parseLock(lock).shared

/** Thrown by a series of changes which needs a lock that others hold. */
export class LockNeeded extends Error {
  /** All that it needs, as far as it is known. */
  readonly locks: Lock[]

  constructor(held: readonly Lock[], wanted: Lock) {
    super(`the lock ${wanted} is needed first`)
    const all = new Set([...held, wanted])
    // to take the same one, shared, before it would be out of order again
    this.locks = [...all].filter(lock => !isShared(lock) || !all.has(parseLock(lock).name))
  }
}

/** How often a series of changes is tried again after a deadlock, each of which takes a second. */
export const maxDeadlocks = 3

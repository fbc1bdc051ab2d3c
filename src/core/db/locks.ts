/**
 * Advisory locks of an organization, in the order in which a transaction takes them; row locks come
 * after all of them. Transactions that keep to one order never wait for each other in a circle.
 * Processes of two versions exclude each other by these names: to rename one, stop them all first.
 *
 * - `admins`: changes that could leave an organization without an admin
 * - `sales_process`: shared by changes that enter a stage, exclusive for changes of stages
 * - `rotation`: turns of teams, one queue for all teams
 * - `scoring`: shared by what is scored, exclusive for changes of how it is scored
 * - `rescoring`: one batch at a time
 * - `hierarchy`: changes of parents, which must not form a cycle
 */
export const lockOrder = [
  'admins',
  'sales_process',
  'rotation',
  'scoring',
  'rescoring',
  'hierarchy'
] as const

export type LockName = (typeof lockOrder)[number]
/** `scoring:shared` is held by any number of transactions at a time, `scoring` by one. */
export type Lock = LockName | `${LockName}:shared`

export const parseLock = (lock: Lock): { name: LockName; shared: boolean } => {
  const [name, mode] = lock.split(':') as [LockName, 'shared' | undefined]
  return { name, shared: mode === 'shared' }
}

/**
 * Throws if a transaction that holds `held` must not wait for `wanted`: a later lock is held
 * already, or the same one, shared, which two transactions could hold while both want it alone.
 */
export function assertLockOrder(held: readonly Lock[], wanted: Lock): void {
  const { name, shared } = parseLock(wanted)
  for (const lock of held) {
    const other = parseLock(lock)
    const isUpgrade = other.name === name && other.shared && !shared
    if (isUpgrade || lockOrder.indexOf(other.name) > lockOrder.indexOf(name))
      throw new Error(`lock ${wanted} is taken after ${lock}: see lockOrder in core/db/locks.ts`)
  }
}

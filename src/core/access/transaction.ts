import type { Connection } from '../db/connections.ts'
import type { Lock } from '../db/locks.ts'

/** An open transaction, the cache keys to drop after it, and its advisory locks. */
export interface Transaction {
  connection: Connection
  changed: Set<string>
  locks: Lock[]
  /** Whether it is a series of changes, which begins anew rather than wait for a lock. */
  isSeries?: boolean
  /** What is sent together with the commit. */
  atCommit: Promise<unknown>[]
}

import type { Connection } from '../db/connections.ts'
import type { Lock } from '../db/locks.ts'
import type { Origin } from './principal.ts'
import type { Reached } from './reach.ts'

/** A transaction, the cache keys to drop after it, and its advisory locks. */
export interface Transaction {
  connection: Connection
  /** Shared by all contexts in it: what goes on after its end must write nothing. */
  end: { isReached: boolean }
  changed: Set<string>
  locks: Lock[]
  /** Whether it is a series of changes, which starts over rather than wait for a lock. */
  isSeries?: boolean
  /** What is sent together with the commit. */
  atCommit: Promise<unknown>[]
}

/** What a context has besides its principal. */
export interface ContextOptions {
  /** undefined: what happens is not by a request. */
  origin?: Origin | undefined
  transaction?: Transaction | undefined
  reached?: Reached
  /** What its writes are a part of, see `Context.operation`. */
  operation_id?: number | undefined
  isPlanned?: boolean
}

import type { Context } from '../access/context.ts'
import type { Lock } from '../db/locks.ts'
import type { Resource } from './resource.ts'

type Json = Record<string, unknown>

/** What undoing changes of a resource needs, besides what follows from its table. */
interface Undoing {
  /** The locks that changes of its records take. */
  locks?: Lock[]
  /** The locks under which one is found or created: nobody finds it while it is deleted. */
  creationLocks?: (ctx: Context, record: Json) => Promise<Lock[]>
  /** Whether other changes lock its records before those that they refer to. */
  isLockedFirst?: boolean
  /** The IDs of those records that could not be stored like this now. */
  findImpossible?: (ctx: Context, records: Json[]) => Promise<number[]>
  /** Recomputes what follows from records, by their IDs. */
  settle?: (ctx: Context, ids: number[]) => Promise<void>
}

const undoings = new Map<string, Undoing>()

/** Defines what undoing changes of a resource needs: a service does. */
export function defineUndoing({ name }: Pick<Resource, 'name'>, undoing: Undoing): void {
  undoings.set(name, undoing)
}

export const undoingOf = ({ name }: Pick<Resource, 'name'>): Undoing => undoings.get(name) ?? {}

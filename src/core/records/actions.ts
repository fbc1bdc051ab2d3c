import type { TSchema } from '@sinclair/typebox'
import type { Context } from '../access/context.ts'
import type { Versions } from './repository.ts'

/** An operation on single records of one type besides those of all types. */
export interface Action {
  /** The permission that it needs. */
  permission: string
  /** The schema of its body, with an `$id`. */
  body: TSchema
  /** Returns the record. `lenient`: what is only refused for caution is accepted. */
  run: (
    ctx: Context,
    id: number,
    body: never,
    conditions: { versions: Versions; lenient: boolean }
  ) => Promise<{ id: number; version: number }>
}

const actions = new Map<string, Action>()
const keyOf = (resource: string, name: string) => `${resource} ${name}`

/** Defines an action of the records of a resource, such as `complete`. */
export function defineAction({ name: resource }: { name: string }, name: string, action: Action) {
  actions.set(keyOf(resource, name), action)
}

/** The action of this name, if the records of the resource have it. */
export const actionOf = ({ name: resource }: { name: string }, name: string): Action | undefined =>
  actions.get(keyOf(resource, name))

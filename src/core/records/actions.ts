import type { TSchema } from '@sinclair/typebox'
import type { Context } from '../access/context.ts'
import type { Versions } from './repository.ts'

/** What can be done to a record of one type besides changing its fields. */
export interface Action {
  /** The permission that it needs. */
  permission: string
  /** What it takes, with an `$id`; it may be null. */
  body: TSchema
  /** Returns the record. `lenient`: accepts what could be refused for caution. */
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

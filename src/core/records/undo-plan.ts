import { isDeepStrictEqual } from 'node:util'
import type { Context } from '../access/context.ts'
import { isoInstantsIn, type ChangeKind, type EventRow } from './events.ts'
import { allResources, groupOf, type Resource } from './resource.ts'
import type { Stored } from './set-statements.ts'
import { isWritable } from './visibility.ts'

type Json = Record<string, unknown>

/** What an operation did to a record, all in all. */
export interface Change {
  resource: Resource
  id: number
  op: ChangeKind
  /** The record before the operation; null for one that it created. */
  before: Json | null
  /** The record as the operation left it. */
  after: Json
  /** The fields that it changed, besides `deleted_at` of what it created, deleted or restored. */
  fields: string[]
  /** The last of its events, and its time. */
  event: number
  at: string
}

/** Why a change is not undone. */
export const leftReasons = [
  'changed',
  'deleted',
  'in_use',
  'unknown_reference',
  'conflict',
  'forbidden',
  'unsupported'
] as const

/** What is not undone: a record, or a field of one; `then` as the operation left it, and `now`. */
export interface Left {
  type: string
  id: number
  reason: (typeof leftReasons)[number]
  field?: string
  then?: unknown
  now?: unknown
  /** The kinds of records that refer to it. */
  used_by?: string[]
}

/** What is to be done to a record; `values` are those of its fields. */
export interface Step {
  change: Change
  stored: Stored
  op: Exclude<ChangeKind, 'created'>
  values: Json
}

/** What undoing needs of an event. */
export type ChangeEvent = Pick<
  EventRow,
  'id' | 'subject_type' | 'subject_id' | 'before' | 'after' | 'created_at'
>

/** Fields that every change of a record changes. */
const bookkeeping = new Set(['version', 'updated_at', 'updated_by'])

/** What events did to each record, in the reverse order of its last event. */
export function foldEvents(events: ChangeEvent[]): Change[] {
  const resources = new Map(allResources().map(resource => [resource.name, resource]))
  const byRecord = Map.groupBy(events, event => `${event.subject_type}/${event.subject_id}`)
  const changes = [...byRecord.values()].flatMap(ofRecord => {
    const [first, last] = [ofRecord[0]!, ofRecord.at(-1)!]
    const resource = resources.get(first.subject_type)
    // what was purged is gone
    if (!resource || last.after === null) return []
    const { before } = first
    const { after } = last
    const op = kindOf(before, after)
    if (!op) return []
    const fields = Object.keys(after).filter(
      name => !bookkeeping.has(name) && name !== 'deleted_at' && differ(before ?? {}, after, name)
    )
    if (op === 'updated' && fields.length === 0) return []
    return [
      {
        resource,
        id: first.subject_id,
        op,
        before,
        after,
        fields,
        event: last.id,
        at: last.created_at
      }
    ]
  })
  return changes.toSorted((a, b) => b.event - a.event)
}

/** What became of a record; undefined if it was created, and is gone. */
function kindOf(before: Json | null, after: Json): ChangeKind | undefined {
  if (before === null) return after.deleted_at === null ? 'created' : undefined
  if ((before.deleted_at === null) === (after.deleted_at === null)) return 'updated'
  return after.deleted_at === null ? 'restored' : 'deleted'
}

const differ = (a: Json, b: Json, field: string): boolean =>
  !isDeepStrictEqual(a[field] ?? null, b[field] ?? null)

/** The fields in which a record differs from how the operation left it. */
export const changedSince = ({ after }: Change, { record }: Stored): string[] =>
  Object.keys(after).filter(field => !bookkeeping.has(field) && differ(after, record, field))

const settableFields = new WeakMap<Resource, Set<string>>()

/** Whether callers set a field; what else a record has follows from those. */
export function isSettable(resource: Resource, field: string): boolean {
  const known = settableFields.get(resource)
  if (known) return known.has(field)
  const bodies = [resource.create, resource.update]
  const fields = new Set(bodies.flatMap(body => Object.keys(body?.properties ?? {})))
  settableFields.set(resource, fields)
  return fields.has(field)
}

/**
 * What is to be done to a record, and what of the change is left; neither for a record that the
 * caller may not read. `isTouched`: whether somebody has changed it since.
 */
export function planOf(
  ctx: Context,
  change: Change,
  stored: Stored,
  isTouched: boolean
): { step?: Step; left: Left[] } {
  const { resource, op } = change
  const left = (reason: Left['reason'], field?: string): Left[] => [
    leftOf(change, stored, reason, field)
  ]
  if (!stored.read || !mayDo(ctx, resource, 'read')) return { left: [] }
  if (groupOf(resource) !== 'records') return { left: left('unsupported') }
  const isAlive = stored.record.deleted_at === null
  if (!isAlive && op !== 'deleted') return { left: left('deleted') }
  if (op === 'created' || op === 'restored') {
    if (isTouched) return { left: leftOfTouched(ctx, change, stored) }
    if (!stored.delete || !mayDo(ctx, resource, 'delete')) return { left: left('forbidden') }
    const values = op === 'restored' ? valuesOf(ctx, change, stored).values : {}
    return { step: { change, stored, op: 'deleted', values }, left: [] }
  }
  const { values, kept } = valuesOf(ctx, change, stored)
  if (op === 'updated') {
    if (Object.keys(values).length === 0) return { left: kept }
    return { step: { change, stored, op, values }, left: kept }
  }
  if (differ(change.after, stored.record, 'deleted_at'))
    return { left: [...left('changed', 'deleted_at'), ...kept] }
  if (!stored.delete || !mayDo(ctx, resource, 'delete')) return { left: left('forbidden') }
  return { step: { change, stored, op: 'restored', values }, left: kept }
}

/** Records without an API of their own belong to others, whose rights count. */
const mayDo = (ctx: Context, { path, schema }: Resource, action: string): boolean =>
  schema === undefined || ctx.can(`${path}:${action}`)

/** What a change of a record is left as. `field`: a field that the caller sees. */
export const leftOf = (
  { resource, id, after }: Change,
  { record }: Stored,
  reason: Left['reason'],
  field?: string
): Left => {
  const valueIn = (row: Json) => isoInstantsIn(row)[field!] ?? null
  return {
    type: resource.name,
    id,
    reason,
    // oxlint-disable-next-line unicorn/no-thenable -- a name of the contract, and no function
    ...(field !== undefined && { field, then: valueIn(after), now: valueIn(record) })
  }
}

function leftOfTouched(ctx: Context, change: Change, stored: Stored): Left[] {
  const hidden = ctx.hiddenFields(change.resource.path)
  const fields = changedSince(change, stored).filter(
    field => isSettable(change.resource, field) && !hidden.has(field)
  )
  if (fields.length === 0) return [leftOf(change, stored, 'changed')]
  return fields.map(field => leftOf(change, stored, 'changed', field))
}

/**
 * The earlier values of the fields that nobody has changed since. Those that follow a transition
 * go back together with it, or not at all; what else the server sets is compared as all fields are.
 */
function valuesOf(ctx: Context, change: Change, stored: Stored) {
  const { resource, fields, before } = change
  const { transitions } = resource
  const reasons = new Map(
    fields.map(field => [field, reasonToLeave(ctx, change, stored, field)] as const)
  )
  if (transitions !== undefined && reasons.has(transitions))
    for (const field of fields.filter(field => !isSettable(resource, field)))
      reasons.set(field, reasons.get(transitions) === undefined ? undefined : 'hidden')
  const values: Json = {}
  const kept: Left[] = []
  for (const [field, reason] of reasons)
    if (reason === undefined) values[field] = before![field] ?? null
    else if (reason !== 'hidden') kept.push(leftOf(change, stored, reason, field))
  return { values, kept }
}

/** Why a field is left, if it is; `hidden`: without a word. */
function reasonToLeave(
  ctx: Context,
  { resource, after }: Change,
  stored: Stored,
  field: string
): Left['reason'] | 'hidden' | undefined {
  const { path, schema } = resource
  if (schema === undefined) return differ(after, stored.record, field) ? 'hidden' : undefined
  const mayUpdate = stored.update && ctx.can(`${path}:update`)
  const mayReassign = field !== 'assigned_to' || stored.reassign
  const mayWrite = !isSettable(resource, field) || isWritable(ctx, path, 'update', field)
  const isShown = field in schema.properties && !ctx.hiddenFields(path).has(field)
  if (differ(after, stored.record, field)) return isShown ? 'changed' : 'hidden'
  if (mayUpdate && mayReassign && mayWrite) return undefined
  return isShown ? 'forbidden' : 'hidden'
}

import type { SQL } from 'drizzle-orm'
import type { Context } from '../access/context.ts'
import { assertMayChange } from '../access/risk.ts'
import { sql } from '../db/drizzle.ts'
import type { Lock } from '../db/locks.ts'
import { organization } from '../db/sql.ts'
import { changedSinceThen, conflict, undoForbidden } from '../errors.ts'
import { getOperation, operations, undoKind } from './operations.ts'
import { repository } from './repository.ts'
import type { Resource } from './resource.ts'
import type { Stored } from './set-statements.ts'
import { changedSince, foldEvents, isSettable, planOf } from './undo-plan.ts'
import { openJobOf } from '../user-jobs.ts'
import type { ChangeKind } from './events.ts'
import type { Change, ChangeEvent, Left, Step } from './undo-plan.ts'
import { carryOut, parentsIn } from './undo-writes.ts'
import { undoingOf } from './undoing.ts'

/** The events that one undo reads at most. */
const maxEvents = 10_000

/** What an undo did to a record; `fields`: those that have their earlier values. */
interface Undone {
  type: string
  id: number
  op: ChangeKind
  fields?: string[]
}

/** What an undo did, as one operation, and what it left. */
export interface UndoResult {
  operation_id: number
  undone: Undone[]
  left: Left[]
}

interface UndoOptions {
  /** Whether to change nothing unless everything can be undone. */
  strict?: boolean
  /** Runs when the locks are held, before anything is changed. */
  prepare?: (ctx: Context) => Promise<void>
}

/**
 * Undoes an operation of the last 30 days, field by field: what has changed since is left. Errors:
 * 404; 409 if it is older, was undone or goes on by a job; `changed_since` if `strict` and not
 * everything can be undone, or if nothing can; 403 for callers who may change nothing of it.
 */
export async function undoOperation(
  ctx: Context,
  id: number,
  options: UndoOptions = {}
): Promise<UndoResult> {
  const { undoable_until } = await getOperation(ctx, id)
  if (Date.parse(undoable_until) < Date.now())
    throw conflict(
      `The operation can no longer be undone: that was possible until ${undoable_until}.`
    )
  return await undoChanges(ctx, id, options)
}

/**
 * Undoes the operation of this `kind` that created a record, or what restored it since, without a
 * limit of time; for what is older than operations, its transaction. Errors: as `undoOperation`;
 * 409 if it was a part of another kind of operation.
 */
export async function undoCreation(
  ctx: Context,
  { name }: Resource,
  id: number,
  { kind, ...options }: UndoOptions & { kind: string }
): Promise<UndoResult> {
  return await ctx.transaction(async ctx => {
    const types = [`${name}.created`, `${name}.restored`]
    const [event] = await ctx.rows<{ id: number; operation_id: number | null }>(sql`
    select id, operation_id from events
    where organization_id = ${organization} and subject_type = ${name} and subject_id = ${id}
      and type = any(${sql.param(types)}::text[])
    order by id desc limit 1`)
    if (event?.operation_id) {
      await assertOfKind(ctx, event.operation_id, kind)
      return await undoChanges(ctx, event.operation_id, options)
    }
    // numbers of transactions start over after a restore, and times do not
    const ofTransaction = sql`(xid, created_at) = (select xid, created_at from events
    where organization_id = ${organization} and id = ${event?.id ?? null})`
    return await undoEvents(ctx, ofTransaction, options)
  })
}

const undoChanges = async (ctx: Context, id: number, options: UndoOptions): Promise<UndoResult> =>
  await undoEvents(ctx, sql`operation_id = ${id}`, { ...options, undo_of: id })

/** Undoes what events say that are selected by a condition. Errors: as `undoOperation`. */
async function undoEvents(
  ctx: Context,
  condition: SQL,
  { strict = false, prepare, undo_of = null }: UndoOptions & { undo_of?: number | null }
): Promise<UndoResult> {
  const changes = foldEvents(await eventsWhere(ctx, condition))
  if (changes.length === 0) throw conflict('The operation has changed nothing.')
  assertMayChange(ctx, changes.length)
  return await ctx.withLocks(await locksFor(ctx, changes), async ctx => {
    await prepare?.(ctx)
    if (undo_of !== null) {
      await assertEnded(ctx, undo_of)
      await assertNotUndone(ctx, undo_of)
    }
    return await ctx.operation(
      undoKind,
      async ctx => {
        const { steps, ...result } = await undo(ctx, changes)
        assertUndone(steps, result.left, strict)
        return { operation_id: ctx.operation_id!, ...result }
      },
      undo_of
    )
  })
}

/** Errors: 403 or 409 if nothing was undone; 409 if it was to be everything, and was not. */
function assertUndone(steps: number, left: UndoResult['left'], strict: boolean): void {
  const isForbidden = left.every(({ reason }) => reason === 'forbidden')
  if (steps === 0 && isForbidden) throw undoForbidden()
  if (steps === 0) throw changedSinceThen('None of these changes can be undone any more.', left)
  if (strict && left.length > 0)
    throw changedSinceThen('Not everything can be undone; nothing was changed.', left)
}

/** Errors: 409 if there are too many. */
async function eventsWhere(ctx: Context, condition: SQL): Promise<ChangeEvent[]> {
  const events = await ctx.rows<ChangeEvent>(sql`
    select id, subject_type, subject_id, before, after, created_at from events
    where organization_id = ${organization} and ${condition} and details is null
    order by id limit ${maxEvents + 1}`)
  if (events.length > maxEvents)
    throw conflict(
      `An operation with more than ${maxEvents.toLocaleString('en')} changes cannot be undone.`
    )
  return events
}

/** Errors: 409 for an operation of another kind; undoing what was undone is of the kind of that. */
async function assertOfKind(ctx: Context, id: number, kind: string): Promise<void> {
  const first = await ctx.one<{ kind: string }>(sql`
    with recursive earlier as (
      select kind, undo_of from ${operations} where organization_id = ${organization} and id = ${id}
      union all
      select o.kind, o.undo_of from ${operations} o join earlier on o.id = earlier.undo_of
      where o.organization_id = ${organization}
    ) select kind from earlier where undo_of is null`)
  if (first!.kind !== kind)
    throw conflict(`It was a part of the operation ${id}, which can be undone as a whole.`)
}

/** Errors: 409 for an operation that a job goes on with. */
async function assertEnded(ctx: Context, id: number): Promise<void> {
  const job_id = await openJobOf(ctx, id)
  if (job_id !== undefined)
    throw conflict(`The job ${job_id} goes on with the operation: wait for its end, or cancel it.`)
}

/** Waits for another undo of the same operation. Errors: 409 if that was undone. */
async function assertNotUndone(ctx: Context, id: number): Promise<void> {
  const ofOrganization = sql`from ${operations} where organization_id = ${organization}`
  await ctx.rows(sql`select ${ofOrganization} and id = ${id} for update`)
  const undone = await ctx.one<{ id: number }>(sql`select id ${ofOrganization} and undo_of = ${id}`)
  if (undone) throw conflict(`The operation was undone already, by operation ${undone.id}.`)
}

/** The locks of all records that an undo may change. */
async function locksFor(ctx: Context, changes: Change[]): Promise<Lock[]> {
  const locks = new Set<Lock>()
  for (const [resource, ofResource] of Map.groupBy(changes, ({ resource }) => resource)) {
    const undoing = undoingOf(resource)
    for (const lock of undoing.locks ?? []) locks.add(lock)
    const created = ofResource.filter(({ op }) => op === 'created').map(({ after }) => after)
    for (const record of created)
      for (const lock of (await undoing.creationLocks?.(ctx, record)) ?? []) locks.add(lock)
    // undoing it could put a record below another one
    if (ofResource.some(({ before }) => before && parentsIn(resource, before).length > 0))
      locks.add('hierarchy')
  }
  return [...locks]
}

/** Undoes changes of records, which are locked first. `steps`: how many, with what is not shown. */
async function undo(
  ctx: Context,
  changes: Change[]
): Promise<Omit<UndoResult, 'operation_id'> & { steps: number }> {
  const stored = await lockAll(ctx, changes)
  const touched = await touchedSince(ctx, changes, stored)
  const plans = changes.flatMap(change => {
    const found = stored.get(change)
    return found ? [planOf(ctx, change, found, touched.has(change))] : []
  })
  const { done, left } = await carryOut(
    ctx,
    changes,
    plans.flatMap(({ step }) => step ?? [])
  )
  await settle(ctx, done)
  const place = new Map(changes.map(({ resource, id }, i) => [`${resource.name}/${id}`, i]))
  const inOrder = <T extends { type: string; id: number }>(all: T[]) =>
    all.toSorted((a, b) => place.get(`${a.type}/${a.id}`)! - place.get(`${b.type}/${b.id}`)!)
  const shown = ({ type }: { type: string }) =>
    changes.some(({ resource }) => resource.name === type && resource.schema !== undefined)
  return {
    steps: done.length,
    undone: inOrder(done.map(step => undoneBy(ctx, step))).filter(shown),
    left: inOrder([...plans.flatMap(({ left }) => left), ...left]).filter(shown)
  }
}

function undoneBy(ctx: Context, { change: { resource, id }, op, values }: Step): Undone {
  const { name: type, path, schema } = resource
  const hidden = ctx.hiddenFields(path)
  const fields = Object.keys(values).filter(
    field => schema && field in schema.properties && !hidden.has(field)
  )
  return { type, id, op, ...(fields.length > 0 && { fields: fields.toSorted() }) }
}

/** Locks the records of changes; those that others lock first, then in the order of the changes. */
async function lockAll(ctx: Context, changes: Change[]): Promise<Map<Change, Stored>> {
  const stored = new Map<Change, Stored>()
  const byResource = [...Map.groupBy(changes.toReversed(), ({ resource }) => resource)]
  const isFirst = (resource: Resource) => (undoingOf(resource).isLockedFirst === true ? 0 : 1)
  for (const [resource, ofResource] of byResource.toSorted(([a], [b]) => isFirst(a) - isFirst(b))) {
    const ids = ofResource.map(({ id }) => id)
    const rows = new Map(
      (await repository(resource).lockMany(ctx, ids)).map(row => [row.id, row] as const)
    )
    for (const change of ofResource)
      if (rows.has(change.id)) stored.set(change, rows.get(change.id)!)
  }
  return stored
}

/** Which created records somebody has changed since; what only the system computed is no reason. */
async function touchedSince(
  ctx: Context,
  changes: Change[],
  stored: Map<Change, Stored>
): Promise<Set<Change>> {
  const differing = changes.filter(change => {
    const found = stored.get(change)
    if (!found || found.version === change.after.version) return false
    return changedSince(change, found).some(field => isSettable(change.resource, field))
  })
  if (differing.length === 0) return new Set()
  const rows = await ctx.rows<{ place: number }>(sql`
    select place from unnest(
      ${sql.param(differing.map(({ resource }) => resource.name))}::text[],
      ${sql.param(differing.map(({ id }) => id))}::bigint[],
      ${sql.param(differing.map(({ event }) => event))}::bigint[]
    ) with ordinality as change (type, id, event, place)
    where exists (select from events e where e.organization_id = ${organization}
      and e.subject_type = change.type and e.subject_id = change.id and e.id > change.event
      and e.actor_id is not null and e.details is null)`)
  return new Set(rows.map(({ place }) => differing[place - 1]!))
}

/** Recomputes what follows from records that were changed or restored. */
async function settle(ctx: Context, done: Step[]): Promise<void> {
  const alive = done.filter(({ op }) => op !== 'deleted')
  for (const [resource, steps] of Map.groupBy(alive, ({ change }) => change.resource))
    await undoingOf(resource).settle?.(
      ctx,
      steps.map(({ change }) => change.id)
    )
}

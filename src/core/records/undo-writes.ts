import type { SQL } from 'drizzle-orm'
import type { Context } from '../access/context.ts'
import { columnNamed } from '../db/columns.ts'
import { sql } from '../db/drizzle.ts'
import { everyRow, ours } from '../db/sql.ts'
import { problemOfDatabase } from '../errors.ts'
import { isBelow } from './hierarchy.ts'
import { repository } from './repository.ts'
import { referencesOf, referencesTo, targetsOf } from './resource.ts'
import type { Reference, Resource } from './resource.ts'
import type { Change, Left, Step } from './undo-plan.ts'
import { leftOf } from './undo-plan.ts'
import { undoingOf } from './undoing.ts'

/** What was done, and what was left. */
interface Outcome {
  done: Step[]
  left: Left[]
}

/**
 * Carries out the steps as far as they are possible. A record without an API of its own is a part
 * of those that it requires: what was done to it stays unless the changes of those are undone.
 * `changes`: all of the operation.
 */
export async function carryOut(ctx: Context, changes: Change[], steps: Step[]): Promise<Outcome> {
  try {
    return await ctx.attempt(async ctx => {
      const outcome = await carryOutAll(ctx, steps)
      const separated = separatedParts(changes, outcome.done)
      if (separated.length > 0) throw new Separated(separated)
      return outcome
    })
  } catch (error) {
    if (!(error instanceof Separated)) throw error
    const remaining = steps.filter(({ change }) => !error.parts.includes(change))
    return await carryOut(ctx, changes, remaining)
  }
}

/** The parts that were undone while a change of what they require was not. */
function separatedParts(changes: Change[], done: Step[]): Change[] {
  const undone = new Set(done.filter(isWhole).map(({ change }) => change))
  const kept = new Set(
    changes.filter(change => !undone.has(change)).map(({ resource, id }) => keyOf(resource, id))
  )
  return done
    .filter(({ change }) => change.resource.schema === undefined)
    .filter(step => requiredOf(step).some(key => kept.has(key)))
    .map(({ change }) => change)
}

/** Whether a step takes back a transition, if there was one. */
const isWhole = ({ change: { resource, fields }, op, values }: Step): boolean =>
  op === 'deleted' ||
  !resource.transitions ||
  !fields.includes(resource.transitions) ||
  resource.transitions in values

class Separated extends Error {
  readonly parts: Change[]

  constructor(parts: Change[]) {
    super('parts would be undone without what they are part of')
    this.parts = parts
  }
}

/**
 * Carries out the steps as far as they are possible. Records are restored first, what they require
 * before them; then fields go back; then what nothing refers to any more is deleted. What another
 * step had to make room for is tried once more at the end.
 */
async function carryOutAll(ctx: Context, steps: Step[]): Promise<Outcome> {
  const outcome: Outcome = { done: [], left: [] }
  const of = (op: Step['op']) => steps.filter(step => step.op === op)
  const failed = [
    ...(await restore(ctx, of('restored'), outcome)),
    ...(await update(ctx, of('updated'), outcome)),
    ...(await remove(ctx, of('deleted'), outcome))
  ]
  for (const step of await write(ctx, failed, outcome)) leave(outcome, step, 'conflict')
  return outcome
}

function leave({ left }: Outcome, step: Step, reason: Left['reason'], field?: string): void {
  left.push(leftOf(step.change, step.stored, reason, field))
}

/** Restores records; returns those that failed. */
async function restore(ctx: Context, steps: Step[], outcome: Outcome): Promise<Step[]> {
  const failed: Step[] = []
  let waiting = steps
  for (;;) {
    const available = await availableTargets(ctx, waiting, wholeOf)
    const ready = waiting.filter(step => requiredOf(step).every(target => available.has(target)))
    if (ready.length === 0) break
    waiting = waiting.filter(step => !ready.includes(step))
    failed.push(...(await update(ctx, ready, outcome)))
  }
  for (const step of waiting) leave(outcome, step, 'unknown_reference')
  return failed
}

/** Gives fields their earlier values; returns the steps that failed. */
async function update(ctx: Context, steps: Step[], outcome: Outcome): Promise<Step[]> {
  const available = await availableTargets(ctx, steps, ({ values }) => values)
  const known = steps.flatMap(step => {
    const values = Object.fromEntries(
      Object.entries(step.values).filter(([field, value]) => {
        const target = targetsOf(step.change.resource).get(field)
        const isKnown = !target || idsIn(value).every(id => available.has(keyOf(target, id)))
        if (!isKnown) leave(outcome, step, 'unknown_reference', field)
        return isKnown
      })
    )
    const isEmpty = step.op === 'updated' && Object.keys(values).length === 0
    return isEmpty ? [] : [{ ...step, values }]
  })
  const impossible = await findImpossible(ctx, known)
  for (const step of impossible) leave(outcome, step, 'conflict')
  return await write(
    ctx,
    known.filter(step => !impossible.includes(step)),
    outcome
  )
}

/** Deletes records that nothing refers to; returns those that failed. */
async function remove(ctx: Context, steps: Step[], outcome: Outcome): Promise<Step[]> {
  const failed: Step[] = []
  let waiting = steps
  while (waiting.length > 0) {
    const users = await usersOf(ctx, waiting)
    const free = waiting.filter(step => !users.has(step))
    if (free.length === 0) break
    failed.push(...(await write(ctx, free, outcome)))
    waiting = waiting.filter(step => users.has(step))
  }
  const users = await usersOf(ctx, waiting)
  for (const step of waiting)
    outcome.left.push({
      ...leftOf(step.change, step.stored, 'in_use'),
      used_by: users.get(step) ?? []
    })
  return failed
}

/** A record as a step would make it. */
const wholeOf = ({ stored, values }: Step) => ({ ...stored.record, ...values })

const idsIn = (value: unknown): number[] => [value ?? []].flat() as number[]
const keyOf = ({ name }: Resource, id: number) => `${name}/${id}`

/** What a record cannot be without. */
const requiredOf = (step: Step): string[] =>
  [...targetsOf(step.change.resource)].flatMap(([field, target]) => {
    const { table } = step.change.resource
    const isRequired = columnNamed(table, field)?.notNull && !Array.isArray(wholeOf(step)[field])
    return isRequired ? idsIn(wholeOf(step)[field]).map(id => keyOf(target, id)) : []
  })

/** Those of the records that steps refer to by `fieldsOf` that can be referred to. */
async function availableTargets(
  ctx: Context,
  steps: Step[],
  fieldsOf: (step: Step) => Record<string, unknown>
): Promise<Set<string>> {
  const references = steps.flatMap(step =>
    [...targetsOf(step.change.resource)].flatMap(([field, target]) =>
      idsIn(fieldsOf(step)[field]).map(id => ({ target, id }))
    )
  )
  const byTarget = Map.groupBy(references, ({ target }) => target)
  const available = new Set<string>()
  for (const [target, found] of byTarget) {
    const ids = found.map(({ id }) => id)
    const rows = await ctx.rows<{ id: number }>(sql`select id from ${ours(target.table)}
      where id = any(${sql.param(ids)}::bigint[]) and ${target.available ?? sql`true`}`)
    for (const { id } of rows) available.add(keyOf(target, id))
  }
  return available
}

/** The steps after which a record could not be as it is: the service says so. */
async function findImpossible(ctx: Context, steps: Step[]): Promise<Step[]> {
  const found: Step[] = []
  for (const [resource, ofResource] of Map.groupBy(steps, ({ change }) => change.resource)) {
    const ids = (await undoingOf(resource).findImpossible?.(ctx, ofResource.map(wholeOf))) ?? []
    found.push(...ofResource.filter(({ change }) => ids.includes(change.id)))
  }
  return found
}

/** The fields by which a record is below another one of its kind. */
export const parentsIn = (resource: Resource, record: Record<string, unknown>): string[] =>
  [...targetsOf(resource)]
    .filter(([field, target]) => target === resource && record[field] != null)
    .map(([field]) => field)

/** The fields by which a step puts its record below another one. */
const newParentsOf = (step: Step): string[] =>
  parentsIn(step.change.resource, step.op === 'restored' ? wholeOf(step) : step.values)

/**
 * Writes steps, those of the same fields in one statement; returns those that the database refuses.
 * What moves in a hierarchy is written one by one, and not into a cycle.
 */
async function write(ctx: Context, steps: Step[], outcome: Outcome): Promise<Step[]> {
  const failed: Step[] = []
  const writeGroup = async (group: Step[]) => {
    if (await tryToWrite(ctx, group)) outcome.done.push(...group)
    else if (group.length === 1) failed.push(...group)
    else for (const step of group) await writeGroup([step])
  }
  const moving = steps.filter(step => newParentsOf(step).length > 0)
  const others = steps.filter(step => !moving.includes(step))
  for (const group of Map.groupBy(others, shapeOf).values()) await writeGroup(group)
  for (const step of moving)
    if (await wouldCycle(ctx, step)) failed.push(step)
    else await writeGroup([step])
  return failed
}

const shapeOf = ({ change, op, values }: Step): string =>
  [change.resource.name, op, ...Object.keys(values).toSorted()].join()

async function wouldCycle(ctx: Context, step: Step): Promise<boolean> {
  const { table } = step.change.resource
  for (const field of newParentsOf(step)) {
    const parent = wholeOf(step)[field] as number
    if (await isBelow(ctx, table, columnNamed(table, field), parent, step.change.id)) return true
  }
  return false
}

/** Whether the database accepted steps of one shape. */
async function tryToWrite(ctx: Context, steps: Step[]): Promise<boolean> {
  const { change, op } = steps[0]!
  // Postgres reads `now` as the time of the transaction, which all deletions have
  const deleted = { updated: {}, restored: { deleted_at: null }, deleted: { deleted_at: 'now' } }[
    op
  ]
  const changes = steps.map(({ stored, values }) => ({
    ...values,
    ...deleted,
    id: stored.id,
    version: stored.version
  }))
  try {
    await ctx.attempt(async ctx => await repository(change.resource).revertMany(ctx, changes))
    return true
  } catch (error) {
    const problem = problemOfDatabase(error)
    if (!problem || problem.status >= 500) throw error
    return false
  }
}

/**
 * The kinds of records that refer to those that would be deleted, by any foreign key. To one that
 * the operation had restored, what did so before it may go on to.
 */
async function usersOf(ctx: Context, steps: Step[]): Promise<Map<Step, string[]>> {
  const users = new Map<Step, string[]>()
  for (const [resource, ofResource] of Map.groupBy(steps, ({ change }) => change.resource)) {
    const queries = referencesTo(resource).map(reference => usersBy(reference, ofResource))
    if (queries.length === 0) continue
    const rows = await ctx.rows<{ name: string; id: number }>(sql.join(queries, sql` union `))
    for (const step of ofResource) {
      const names = rows.filter(({ id }) => id === step.change.id).map(({ name }) => name)
      if (names.length > 0) users.set(step, [...new Set(names)])
    }
  }
  return users
}

function usersBy({ from, table, column }: Reference, steps: Step[]): SQL {
  const ids = steps.map(({ change }) => change.id)
  const since = steps.map(({ change: { op, at } }) => (op === 'restored' ? at : null))
  const owner = referencesOf(from).find(one => one.table === table && one.to === from)
  const key = table === from.table ? from.table.id : owner!.column
  return sql`select ${from.pluralLabel}::text as name, target.id
    from unnest(${sql.param(ids)}::bigint[], ${sql.param(since)}::timestamptz[]) target (id, since)
    join ${everyRow(table)} on ${column} = target.id
    where since is null or exists (select from ${everyRow(from.table, 'one')}
      where one.id = ${key} and one.updated_at > since
        and one.updated_at <> now()::timestamptz(3))`
}

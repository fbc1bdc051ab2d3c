import type { Context } from '../../../core/access/context.ts'
import { assertMayChange } from '../../../core/access/risk.ts'
import { ruleBroken, unexpectedCount } from '../../../core/errors.ts'
import { changeMembers, servedNamed, type Served } from '../../../core/http/record-writes.ts'
import type { Filter } from '../../../core/records/filter.ts'
import { repository } from '../../../core/records/repository.ts'
import { defineOperation } from '../../../core/records/operations.ts'
import { assertWritable, placesOf } from '../../../core/records/visibility.ts'
import { defineUserJob, type Batch, type UserJob } from '../../../core/user-jobs.ts'
import { kindOf, type Kind } from '../batch/kinds.ts'
import type { Item } from '../batch/items.ts'
import { BatchRun, type Results } from '../batch/run.ts'
import { maxFailures, type MassChange } from './schema.ts'

/** Records that are changed at once, if that takes no more milliseconds, and in one batch. */
const maxAtOnce = 1_000
const timeAtOnce = 2_000
const batchSize = 250

/** What is to be changed was validated when it was sent. */
const options = {
  validate: () => undefined,
  lenient: false,
  representation: false
}

/** What is done to all records of a type that match a filter. */
export type Change =
  | { op: 'update'; data: object }
  | { op: 'delete' }
  | { op: 'tag'; add: number[]; remove: number[] }

type Totals = Omit<MassChange, 'matched' | 'operation_id' | 'job_id'>

/** What remains of a mass change: the records with IDs after `after` and up to `last`. */
interface Remaining {
  type: string
  change: Change
  filter: string
  after: number
  last: number
  totals: Totals
}

const names = { update: 'mass_update', delete: 'mass_delete', tag: 'mass_tag' } as const

const defineJob = (op: Change['op']): UserJob<Remaining> =>
  defineUserJob<Remaining>(defineOperation(names[op]), { permission: 'batch:write' })

const jobs = { update: defineJob('update'), delete: defineJob('delete'), tag: defineJob('tag') }

/** The jobs that change what is not changed at once. */
export const massJobs: UserJob<Remaining>[] = Object.values(jobs)

/** What the caller must be allowed to do to the records. */
export const actionFor = (op: Change['op']) => (op === 'delete' ? 'delete' : 'update')

const nothing: Totals = { changed: 0, unchanged: 0, failed: 0, failures: [] }

/**
 * Changes the records that match a filter: up to 1,000 at once, the others by a job. Errors: 403,
 * 409 if they are not `expected_count`, 422 for an invalid filter, or none.
 */
export async function changeMatching(
  ctx: Context,
  served: Served,
  change: Change,
  { filter, expected_count }: { filter: string; expected_count?: number }
): Promise<MassChange> {
  assertAllowed(ctx, served, change)
  const filters = filtersIn(ctx, served, filter)
  return await ctx.transaction(async ctx => {
    const { ids, has_more } = await idsOf(ctx, served, filters, maxAtOnce)
    const { count, last } = has_more
      ? await extentOf(ctx, served, filters)
      : { count: ids.length, last: ids.at(-1) ?? 0 }
    if (expected_count !== undefined && expected_count !== count) throw unexpectedCount(count)
    if (count === 0) return { matched: 0, ...nothing, operation_id: null, job_id: null }
    assertMayChange(ctx, ids.length)
    return await ctx.operation(names[change.op], async ctx => {
      const { totals, after } = await changeAtOnce(ctx, served, change, filters, ids)
      const rest = { type: served.resource.name, change, filter, after, last, totals }
      const progress = { done: ids.indexOf(after) + 1, total: count, result: totals }
      const job_id = after < last ? await jobs[change.op].start(ctx, rest, progress) : null
      return { matched: count, ...totals, operation_id: ctx.operation_id ?? null, job_id }
    })
  })
}

/** Changes the first of these records; `after` is the last one that was. */
async function changeAtOnce(
  ctx: Context,
  served: Served,
  change: Change,
  filters: Filter[],
  ids: number[]
) {
  // a plan and what it is for must change the same records, however long that takes
  const deadline = ctx.isPlanned ? Infinity : performance.now() + timeAtOnce
  let totals = nothing
  let after = 0
  for (let i = 0; i < ids.length && (i === 0 || performance.now() < deadline); i += batchSize) {
    const batch = ids.slice(i, i + batchSize)
    totals = await changeThese(ctx, served, change, filters, batch, totals)
    after = batch.at(-1)!
  }
  return { totals, after }
}

/** Changes the next records of a job; `rest` is what remains. Errors: 403, 422. */
export async function changeBatch<Job extends Remaining>(
  ctx: Context,
  job: Job
): Promise<Batch<Job> & { result: Totals }> {
  const { type, change, filter, after, last } = job
  const served = servedNamed(type)!
  assertAllowed(ctx, served, change)
  const filters = filtersIn(ctx, served, filter)
  const remaining: Filter[] = [
    ...filters,
    { field: 'id', operator: 'gt', value: after },
    { field: 'id', operator: 'lte', value: last }
  ]
  const { ids, has_more } = await idsOf(ctx, served, remaining, batchSize)
  const totals = await changeThese(ctx, served, change, filters, ids, job.totals)
  const rest = { ...job, after: ids.at(-1) ?? after, totals }
  return { done: ids.length, result: totals, ...(has_more && { rest }) }
}

/** Changes those of the records that still match when nobody else can change them. */
async function changeThese(
  ctx: Context,
  served: Served,
  change: Change,
  filters: Filter[],
  ids: number[],
  before: Totals
): Promise<Totals> {
  const kind = kindFor(served, change)
  return await ctx.series(async ctx => {
    await repository(served.resource).hold(ctx, ids)
    const among: Filter = { field: 'id', operator: 'in', value: ids }
    const held = await idsOf(ctx, served, [...filters, among], ids.length)
    const items = held.ids.map((id, index) => itemOf(served, kind, change, id, index))
    const done = await new BatchRun(items, options).run(ctx)
    return added(before, held.ids, done)
  })
}

/** Errors: 422 for an invalid filter, or none: an empty one is rather a mistake. */
function filtersIn(ctx: Context, { query }: Served, text: string): Filter[] {
  const filters = query.filtersIn(ctx, text, 'filter')
  if (filters.length > 0) return filters
  throw ruleBroken('filter', 'A filter is required.', { rule: 'filter' })
}

/** The first IDs of a list, in their order. */
async function idsOf(ctx: Context, { service }: Served, filters: Filter[], limit: number) {
  const sort = [{ field: 'id', descending: false }]
  const { data, has_more } = await service.list!(ctx, { filters, fields: ['id'], sort, limit })
  return { ids: data.map(({ id }) => id), has_more }
}

/** Errors: 403, 400 for what the caller may not do to any record. */
function assertAllowed(ctx: Context, { resource }: Served, change: Change): void {
  const { path } = resource
  ctx.require(`${path}:read`)
  ctx.require(`${path}:${actionFor(change.op)}`)
  if (change.op === 'tag') assertWritable(ctx, resource, 'update', placesOf(['tags']))
  if (change.op === 'update') {
    const places = Object.keys(change.data).map(field => [field, `/data/${field}`])
    assertWritable(ctx, resource, 'update', Object.fromEntries(places))
  }
}

/** How many records match, and the last of their IDs. */
async function extentOf(ctx: Context, served: Served, filters: Filter[]) {
  const sort = [{ field: 'id', descending: true }]
  const page = { filters, fields: ['id'], sort, limit: 1, count: true }
  const { data, total = 0 } = await served.service.list!(ctx, page)
  return { count: total, last: data[0]?.id ?? 0 }
}

/** What the change of one record is. */
function kindFor(served: Served, change: Change): Kind {
  return change.op === 'tag' ? tagging(change) : kindOf(change.op, served)!
}

const tagging = ({ add, remove }: { add: number[]; remove: number[] }): Kind => ({
  needs: ['id'],
  isOffered: () => true,
  body: () => undefined,
  run: async (served, ctx, { id }) => {
    const row = await changeMembers(
      served,
      ctx,
      { id, field: 'tags' },
      tags => [...new Set([...tags, ...add])].filter(tag => !remove.includes(tag as number)),
      (detail, params) => ruleBroken('tags', detail, params)
    )
    return { status: 200, row }
  }
})

const itemOf = (served: Served, kind: Kind, change: Change, id: number, index: number): Item => ({
  index,
  served,
  kind,
  operation: {
    op: change.op,
    type: served.resource.name,
    id,
    ...(change.op === 'update' && { data: change.data as Record<string, unknown> })
  },
  dependencies: new Map()
})

/** Totals with what was done to these records. */
function added(before: Totals, ids: number[], { results, problems }: Results): Totals {
  const unchanged = results.filter(({ outcome }) => outcome === 'unchanged').length
  const failures = [...problems].map(([index, { status, code, detail }]) => ({
    id: ids[index]!,
    status,
    code,
    detail
  }))
  return {
    changed: before.changed + ids.length - unchanged - failures.length,
    unchanged: before.unchanged + unchanged,
    failed: before.failed + failures.length,
    failures: [...before.failures, ...failures].slice(0, maxFailures)
  }
}

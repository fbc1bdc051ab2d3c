import type { Context } from '../../../core/access/context.ts'
import { assertMayChange } from '../../../core/access/risk.ts'
import { ruleBroken, unexpectedCount } from '../../../core/errors.ts'
import { changeMembers, servedNamed, type Served } from '../../../core/http/record-writes.ts'
import type { Filter } from '../../../core/records/filter.ts'
import { defineOperation } from '../../../core/records/operations.ts'
import { assertWritable, placesOf } from '../../../core/records/visibility.ts'
import { defineUserJob, type Batch, type UserJob } from '../../../core/user-jobs.ts'
import { kindOf, type Kind } from '../batch/kinds.ts'
import { runIndependent } from '../batch/modes.ts'
import type { Item } from '../batch/items.ts'
import type { Results } from '../batch/run.ts'
import { maxFailures, type Failure, type MassChange } from './schema.ts'

/** Records that are changed at once, and by a batch of a job. */
const maxAtOnce = 1_000
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

type Totals = {
  changed: number
  unchanged: number
  failed: number
  failures: Failure[]
}

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
 * 409 if they are not `expected_count`, 422 for a filter that there is not.
 */
export async function changeMatching(
  ctx: Context,
  served: Served,
  change: Change,
  { filter, expected_count }: { filter: string; expected_count?: number }
): Promise<MassChange> {
  const { resource } = served
  assertAllowed(ctx, served, change)
  const filters = served.query.filtersIn(ctx, filter, 'filter')
  return await ctx.transaction(async ctx => {
    const { count, last } = await extentOf(ctx, served, filters)
    if (expected_count !== undefined && expected_count !== count) throw unexpectedCount(count)
    if (count === 0) return { matched: 0, ...nothing, operation_id: null, job_id: null }
    return await ctx.operation(names[change.op], async ctx => {
      const all = { type: resource.name, change, filter, after: 0, last, totals: nothing }
      const { done, rest, result } = await changeNext(ctx, all, maxAtOnce)
      const { operation_id = null } = ctx
      const job_id = rest ? await jobs[change.op].start(ctx, rest, { done, total: count }) : null
      return { matched: count, ...result, operation_id, job_id }
    })
  })
}

/** Changes the next records; `rest` is what remains. Errors: 403. */
export async function changeBatch<Job extends Remaining>(
  ctx: Context,
  job: Job
): Promise<Batch<Job> & { result: Totals }> {
  return await changeNext(ctx, job, batchSize)
}

async function changeNext<Job extends Remaining>(
  ctx: Context,
  job: Job,
  limit: number
): Promise<Batch<Job> & { result: Totals }> {
  const { type, change, filter, after, last } = job
  const served = servedNamed(type)!
  assertAllowed(ctx, served, change)
  const { data, has_more } = await listOf(served)(ctx, {
    filters: [
      ...served.query.filtersIn(ctx, filter, 'filter'),
      { field: 'id', operator: 'gt', value: after },
      { field: 'id', operator: 'lte', value: last }
    ],
    fields: ['id'],
    sort: [{ field: 'id', descending: false }],
    limit
  })
  assertMayChange(ctx, data.length)
  const ids = data.map(({ id }) => id)
  const kind = kindFor(served, change)
  const items = ids.map((id, index) => itemOf(served, kind, change, id, index))
  const done = await runIndependent(ctx, items, options)
  const totals = added(job.totals, ids, done)
  const rest = { ...job, after: ids.at(-1) ?? after, totals }
  return { done: ids.length, result: totals, ...(has_more && { rest }) }
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

const listOf = ({ service }: Served) => service.list!

/** How many records match, and the last of their IDs. */
async function extentOf(ctx: Context, served: Served, filters: Filter[]) {
  const sort = [{ field: 'id', descending: true }]
  const page = { filters, fields: ['id'], sort, limit: 1, count: true }
  const { data, total = 0 } = await listOf(served)(ctx, page)
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

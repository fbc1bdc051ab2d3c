import type { Context } from './access/context.ts'
import { definePermission } from './access/permissions.ts'
import { defineOwners } from './access/reach.ts'
import { identifier, instant } from './db/columns.ts'
import { index, integer, jsonb, pgTable, primaryKey, sql, text, uniqueIndex } from './db/drizzle.ts'
import { defineExpiry } from './db/expiry.ts'
import { actor, organization, reached } from './db/sql.ts'
import { conflict, notFound } from './errors.ts'
import { addJob, type JobPayload } from './jobs.ts'
import { defined } from './defined.ts'

export const jobStates = [
  'waiting',
  'running',
  'cancelling',
  'completed',
  'cancelled',
  'failed'
] as const
export type JobState = (typeof jobStates)[number]
const finalStates = new Set<JobState>(['completed', 'cancelled', 'failed'])

/** Why a job failed: a problem, without what is about its request. */
export interface JobError {
  code: string
  detail: string
}

/**
 * The work that users started, of which they see how far it is. `payload` is what remains to be
 * done; it is written, with `done` and the number of the `batch`, in the transaction of each batch:
 * one that was interrupted is done again, and one that was done is not. The queue only knows the
 * ID.
 */
export const jobs = pgTable(
  'jobs',
  {
    id: identifier().notNull().generatedAlwaysAsIdentity(),
    organization_id: identifier().notNull(),
    // `text`: compared as it is, unlike names (see `keyOf`)
    kind: text().notNull(),
    state: text().$type<JobState>().notNull().default('waiting'),
    done: integer().notNull().default(0),
    total: integer(),
    result: jsonb().$type<Record<string, unknown>>(),
    error: jsonb().$type<JobError>(),
    operation_id: identifier(),
    created_by: identifier(),
    created_at: instant().notNull().defaultNow(),
    started_at: instant(),
    ended_at: instant(),
    key: text(),
    payload: jsonb().notNull(),
    batch: integer().notNull().default(0)
  },
  t => [
    primaryKey({ name: 'jobs_key', columns: [t.organization_id, t.id] }),
    index('idx_jobs_created_by').on(t.organization_id, t.created_by, t.id),
    index('idx_jobs_kind').on(t.organization_id, t.kind, t.id),
    index('idx_jobs_state').on(t.organization_id, t.state, t.id),
    index('idx_jobs_ended_at')
      .on(t.ended_at)
      .where(sql`ended_at is not null`),
    uniqueIndex('jobs_key_unique')
      .on(t.organization_id, t.key)
      .where(sql`ended_at is null`)
  ]
)
defineExpiry(jobs, sql`ended_at < now() - interval '30 days'`)

const path = 'jobs'
for (const action of ['read', 'update', 'export'])
  definePermission(`${path}:${action}`, 'own', true)
defineOwners(path, { path, name: 'job', owners: ['created_by'], isShareable: false })

/** What a batch did: the records that it went through, what remains, or what the whole job did. */
export interface Batch<Payload extends object> {
  done: number
  rest?: Payload
  result?: Record<string, unknown>
}

interface StartOptions {
  /** Of jobs with the same key, only the last one goes on: it does what the others would have. */
  key?: string
  /** The records that were gone through already, and how many there are, if that is known. */
  done?: number
  total?: number
  /** What was done already. */
  result?: Record<string, unknown>
}

/** A kind of work that users start, see `jobs`; `src/jobs` says what does it. */
export interface UserJob<Payload extends object> {
  name: string
  /** The permission that the user must have whenever it runs, as for `Job`. */
  permission?: string
  /** Starts it soon after the transaction of `ctx`, and returns its ID. */
  start: (ctx: Context, payload: Payload, options?: StartOptions) => Promise<number>
  /** What the last job with a key had left when it ended; nothing if it goes on. */
  restOf: (ctx: Context, key: string) => Promise<Payload | undefined>
}

interface Kind {
  permission?: string
  /** Whether users can cancel it; false for what must not end halfway. */
  isCancelable?: boolean
  /** Whether it is done in batches, by the queue; false for what has a runner of its own. */
  isQueued?: boolean
}

const kinds = new Map<string, Kind>()

/** All kinds of jobs that users start, in alphabetical order. */
export const jobKinds = (): string[] => [...kinds.keys()].toSorted()

/** Whether jobs of a kind can be canceled. */
export const isCancelable = (kind: string): boolean => kinds.get(kind)?.isCancelable !== false

/** Defines a kind of work that users start, by its name in the queue. */
export function defineUserJob<Payload extends object>(
  name: string,
  kind: Kind = {}
): UserJob<Payload> {
  kinds.set(name, kind)
  const { permission } = kind
  return {
    name,
    ...defined({ permission }),
    async restOf(ctx, key) {
      const last = await ctx.one<{ payload: Payload; ended_at: string | null }>(
        sql`select payload, ended_at from ${jobs}
          where organization_id = ${organization} and kind = ${name} and key = ${`${name}/${key}`}
          order by id desc limit 1`
      )
      return last?.ended_at ? last.payload : undefined
    },
    async start(ctx, payload, { key, done = 0, total, result } = {}) {
      const { user_id, origin, principal } = ctx
      const author = { user_id, ...defined({ api_token_id: principal.token?.id }) }
      const whole = { ...payload, ...author, ...defined({ origin }) }
      const [job] = await ctx.write<{ id: number }>(
        [],
        sql`insert into ${jobs}
          (organization_id, kind, key, payload, done, total, result, operation_id, created_by)
        values (${organization}, ${name}, ${key === undefined ? null : `${name}/${key}`}::text,
          ${JSON.stringify(whole)}::text::jsonb, ${done}::int, ${total ?? null}::int,
          ${result ? JSON.stringify(result) : null}::text::jsonb,
          ${ctx.operation_id ?? null}::bigint, ${actor})
        on conflict (organization_id, key) where ended_at is null do update set state = 'waiting',
          payload = excluded.payload, done = excluded.done, total = excluded.total,
          result = excluded.result, operation_id = excluded.operation_id,
          created_by = excluded.created_by,
          created_at = excluded.created_at, started_at = null, batch = jobs.batch + 1
        returning id`
      )
      await enqueueUserJob(ctx, name, job!.id)
      return job!.id
    }
  }
}

/** Has the queue go on with a job, if it is what does it. */
export async function enqueueUserJob(ctx: Context, name: string, job_id: number): Promise<void> {
  if (kinds.get(name)?.isQueued === false) return
  await addJob(ctx, name, { job_id }, `job/${ctx.organization_id}/${job_id}`, 0)
}

const byId = (id: number) => sql`organization_id = ${organization} and id = ${id}`

/** A job that is to go on. */
export interface OpenJob {
  operation_id: number | null
  payload: JobPayload
}

/** A job, unless it has ended. */
export async function openJob(ctx: Context, id: number): Promise<OpenJob | undefined> {
  return await ctx.one(sql`select operation_id, payload from ${jobs}
    where ${byId(id)} and ended_at is null`)
}

/** The ID of the job that goes on with an operation, if there is one. */
export async function openJobOf(ctx: Context, operation_id: number): Promise<number | undefined> {
  const open = jobStates.filter(state => !finalStates.has(state))
  const job = await ctx.one<{ id: number }>(sql`select id from ${jobs}
    where organization_id = ${organization} and state = any(${sql.param(open)}::text[])
      and operation_id = ${operation_id} limit 1`)
  return job?.id
}

/**
 * Notes that a job is running, and returns what remains of it; nothing if it has ended. One that is
 * to be canceled ends here.
 */
async function beginTurn(ctx: Context, id: number) {
  const [job] = await ctx.write<{ payload: object; batch: number }>(
    [],
    sql`update ${jobs} set state = 'running', started_at = coalesce(started_at, now())
      where ${byId(id)} and state in ('waiting', 'running') returning payload, batch`
  )
  if (!job)
    await ctx.write(
      [],
      sql`update ${jobs} set state = 'cancelled', ended_at = now()
        where ${byId(id)} and state = 'cancelling'`
    )
  return job
}

/**
 * Does the next batch of a job by `run`, which gets what remains; returns whether there is more.
 * What the batch does and what is noted about it are one transaction. A job that is to be canceled
 * ends here. One that goes on elsewhere, or was restarted, does so; this batch is undone.
 */
export async function runBatch<Payload extends object>(
  ctx: Context,
  id: number,
  run: (ctx: Context, payload: Payload & JobPayload) => Promise<Batch<Payload & JobPayload>>
): Promise<boolean> {
  const job = await beginTurn(ctx, id)
  if (!job) return false
  try {
    return await ctx.transaction(async ctx => {
      const { done, rest, result } = await run(ctx, job.payload as Payload & JobPayload)
      const remains = rest && JSON.stringify(rest)
      const kept = await ctx.write(
        [],
        sql`update ${jobs} set batch = batch + 1, done = done + ${done}::int,
          payload = coalesce(${remains ?? null}::text::jsonb, payload),
          result = coalesce(${result ? JSON.stringify(result) : null}::text::jsonb, result),
          state = case when ${rest === undefined} then 'completed' else state end,
          ended_at = case when ${rest === undefined} then now() end
        where ${byId(id)} and batch = ${job.batch} and ended_at is null returning id`
      )
      if (kept.length === 0) throw new Overtaken()
      return rest !== undefined
    })
  } catch (error) {
    if (error instanceof Overtaken) return false
    throw error
  }
}

/** Another process did the batch, or the whole job; or it was restarted or canceled meanwhile. */
export class Overtaken extends Error {}

/** How far a job is that has a runner of its own. */
export interface Progress {
  done: number
  total: number | null
}

/**
 * Notes how far a job is that has a runner of its own; returns whether it is to go on. One that is
 * to be canceled ends here.
 */
export async function noteProgress(
  ctx: Context,
  id: number,
  { done, total }: Progress
): Promise<boolean> {
  if (!(await beginTurn(ctx, id))) return false
  await ctx.write(
    [],
    sql`update ${jobs} set done = ${done}::int, total = ${total}::int
      where ${byId(id)} and ended_at is null`
  )
  return true
}

/** Completes such a job; returns whether it is not one that is to be canceled, or has ended. */
export async function completeJob(
  ctx: Context,
  id: number,
  done: number,
  result: Record<string, unknown>
): Promise<boolean> {
  const completed = await ctx.write(
    [],
    sql`update ${jobs} set state = 'completed', ended_at = now(), done = ${done}::int,
      total = ${done}::int, result = ${JSON.stringify(result)}::text::jsonb
      where ${byId(id)} and state = 'running' returning id`
  )
  return completed.length > 0
}

/** Ends a job that cannot go on. */
export async function failJob(ctx: Context, id: number, error: JobError): Promise<void> {
  await ctx.write(
    [],
    sql`update ${jobs} set state = 'failed', ended_at = now(),
      error = ${JSON.stringify(error)}::text::jsonb
      where ${byId(id)} and ended_at is null`
  )
}

/**
 * Cancels a job: at once if it has not begun, otherwise after the batch that is running. What is
 * done stays. Errors: 404, 409 for one that has ended, or that is of a kind that must complete.
 */
export async function cancelJob(ctx: Context, id: number): Promise<void> {
  const mine = sql`${byId(id)} and ${reached('update', path)}`
  const cancelable = jobKinds().filter(isCancelable)
  const [job] = await ctx.write<{ kind: string }>(
    [],
    sql`update ${jobs} set
        ended_at = case when state = 'waiting' then now() end,
        state = case when state = 'waiting' then 'cancelled' else 'cancelling' end
      where ${mine} and ended_at is null and kind = any(${sql.param(cancelable)}::text[])
      returning kind`
  )
  if (job) return await enqueueUserJob(ctx, job.kind, id)
  const kept = await ctx.one<{ state: JobState; ended_at: string | null; kind: string }>(
    sql`select state, ended_at, kind from ${jobs} where ${mine}`
  )
  if (!kept) throw notFound('job')
  if (kept.ended_at) throw conflict(`The job has ended: it is ${kept.state}.`)
  throw conflict(`A job of the kind ${kept.kind} cannot be canceled: it completes what has begun.`)
}

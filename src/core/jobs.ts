import type { Context } from './access/context.ts'
import type { Origin } from './access/principal.ts'
import { sql } from './db/drizzle.ts'
import { defined } from './defined.ts'
import { organization } from './db/sql.ts'

/** What every job says: the organization it is for, and who it is done as (null: the system). */
export interface JobPayload {
  organization_id: number
  user_id?: number | null
  /** The API token that it was added with: it is done with no more rights than that has. */
  api_token_id?: number
  /** Where the request came from that added it. */
  origin?: Origin
  /** A job that users see: what it has to do is in its row, see `jobs` in user-jobs.ts. */
  job_id?: number
}

/** A kind of background work; `src/jobs` says what does it. */
export interface Job<Payload extends object> {
  name: string
  /**
   * The permission that its author must have whenever it runs. Without one, it completes in the
   * name of the system what its author was allowed to do when it was added.
   */
  permission?: string
  /**
   * Adds work that is done soon after the transaction of `ctx` (or after `delay` seconds), and not
   * at all if that fails. Of jobs with the same `key` that have not begun only the last one is
   * kept: it must do what the others would have done. After a crash work may be done twice.
   */
  enqueue: (
    ctx: Context,
    payload: Payload,
    options?: { key?: string; delay?: number }
  ) => Promise<void>
}

/** What `enqueue_job` in the database marks the jobs of an organization with. */
export const flagOf = (organization_id: number) => `organization/${organization_id}`

/** Adds a job to the queue; one that waits with the same key is replaced. */
export async function addJob(
  ctx: Context,
  name: string,
  payload: object,
  key: string | null,
  delay: number
): Promise<void> {
  await ctx.write(
    [],
    sql`select enqueue_job(${name}, ${organization}, ${JSON.stringify(payload)}::text::jsonb,
      ${key}, make_interval(secs => ${delay}))`
  )
}

/**
 * Defines a kind of background work by its name in the queue, and the permission that its author
 * must have.
 */
export const defineJob = <Payload extends object>(
  name: string,
  permission?: string
): Job<Payload> => ({
  name,
  ...(permission !== undefined && { permission }),
  async enqueue(ctx, payload, { key, delay = 0 } = {}) {
    const jobKey = key === undefined ? null : `${name}/${ctx.organization_id}/${key}`
    await addJob(ctx, name, { ...payload, ...defined({ origin: ctx.origin }) }, jobKey, delay)
  }
})

const rest = '/rest'

/** Adds what a turn left of a job that has this key, if any. */
export async function enqueueRest(
  ctx: Context,
  name: string,
  payload: JobPayload,
  key: string | null
): Promise<void> {
  await addJob(ctx, name, payload, key === null || key.endsWith(rest) ? key : key + rest, 0)
}

/** Removes what earlier turns left of the job with this key, which does it as well. */
export async function removeRest(ctx: Context, key: string | null): Promise<void> {
  if (key !== null && !key.endsWith(rest))
    await ctx.write([], sql`select from graphile_worker.remove_job(${key + rest})`)
}

/** Puts the waiting jobs of an organization behind those of all others. */
export async function yieldTurn(ctx: Context): Promise<void> {
  await ctx.write(
    [],
    sql`select from graphile_worker.reschedule_jobs(
      array(select id from graphile_worker.jobs
        where flags ? ${flagOf(ctx.organization_id)} and locked_at is null and run_at <= now()
        limit 1000),
      run_at => now())`
  )
}

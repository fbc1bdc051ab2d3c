import type { Context } from './access/context.ts'
import { sql } from './db/drizzle.ts'

/** What every job says: the organization it is for, and who it is done as (null: the system). */
export interface JobPayload {
  organization_id: number
  user_id?: number | null
}

/** A kind of background work; `src/jobs` says what does it. */
export interface Job<Payload extends object> {
  name: string
  /**
   * Adds work that is done soon after the transaction of `ctx` (or after `delay` seconds), and not
   * at all if that fails. Of jobs with the same `key` that have not begun only the last one is
   * kept: they should be alike. After a crash work may be done twice.
   */
  enqueue: (
    ctx: Context,
    payload: Payload,
    options?: { key?: string; delay?: number }
  ) => Promise<void>
}

/** Defines a kind of background work by its name in the queue. */
export const defineJob = <Payload extends object>(name: string): Job<Payload> => ({
  name,
  async enqueue(ctx, payload, { key, delay = 0 } = {}) {
    const { organization_id } = ctx
    const text = JSON.stringify({ ...payload, organization_id })
    const job_key = key === undefined ? null : `${name}/${organization_id}/${key}`
    await ctx.rows(sql`select graphile_worker.add_job(${name}, ${text}::text::json,
      run_at => now() + make_interval(secs => ${delay}), job_key => ${job_key})`)
  }
})

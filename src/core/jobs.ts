import type { Context } from './access/context.ts'
import { soon } from './db/database.ts'

/** What workers do, and what each job says. Every job says for which organisation. */
export interface Jobs {
  /** All leads of the organisation beyond the number `after`, or those of some contacts. */
  rescore_leads: { organization_id: number; after?: number; contact_ids?: number[] }
  /** The opportunities that are still in a deleted stage, to another one of the same pipeline, by `user_id`. Stages are given by their keys. */
  move_opportunities: {
    organization_id: number
    user_id: number | null
    pipeline_id: number
    from: string
    to: string
  }
  /** The members of a campaign from `after` on: those of `resource` that meet `filter`, added by `user_id`. */
  add_members: {
    organization_id: number
    user_id: number | null
    campaign_id: number
    resource: 'contacts' | 'leads'
    filter: string
    after: number
  }
}

/**
 * Leaves work to be done soon after the transaction of `ctx` (or `seconds` later), and not at all if that fails. Of jobs with the same
 * `key` that have not begun only the last one is left: they should say the same. Whoever does it may do it twice, after a crash: a job must not mind.
 */
export async function enqueue<Name extends keyof Jobs>(
  ctx: Context,
  name: Name,
  job: Omit<Jobs[Name], 'organization_id'>,
  key?: string,
  seconds = 0
): Promise<void> {
  const payload = JSON.stringify({ ...job, organization_id: ctx.organization_id })
  const once = key === undefined ? null : `${name}/${ctx.organization_id}/${key}`
  await soon(
    ctx.connection`select graphile_worker.add_job(${name}, ${payload}::text::json, run_at => now() + make_interval(secs => ${seconds}), job_key => ${once})`
  )
}

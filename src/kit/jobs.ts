import type { Context } from './context.ts'
import { soon } from './database.ts'

/** What workers do, and what each job says. Every job says for which organisation. */
export interface Jobs {
  /** All leads of the organisation from `after` on, or those of some contacts. */
  rescore_leads: { organization_id: number, after?: number, contact_ids?: number[] }
}

/**
 * Leaves work to be done soon after the transaction of `ctx`, and not at all if that fails. Jobs with the same `key` that have not begun
 * become one. Whoever does it may do it twice, after a crash: a job must not mind.
 */
export async function enqueue<Name extends keyof Jobs> (ctx: Context, name: Name, job: Omit<Jobs[Name], 'organization_id'>, key?: string): Promise<void> {
  const payload = JSON.stringify({ ...job, organization_id: ctx.organization_id })
  await soon(ctx.connection`select graphile_worker.add_job(${name}, ${payload}::text::json, job_key => ${key === undefined ? null : `${name}/${ctx.organization_id}/${key}`})`)
}

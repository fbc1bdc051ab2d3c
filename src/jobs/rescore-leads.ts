import type { Context } from '../core/access/context.ts'
import type { Jobs } from '../core/jobs.ts'
import { updateMany } from '../modules/crm/leads/service.ts'
import { outdated } from '../modules/automation/scoring/service.ts'

/** Scores a batch of leads anew. Returns what is left of the job: the same batch again where a lead has changed meanwhile. */
export async function rescoreLeads(
  ctx: Context,
  job: Jobs['rescore_leads']
): Promise<Jobs['rescore_leads'] | undefined> {
  return await ctx.transaction(async ctx => {
    const { changes, rest } = await outdated(ctx, job)
    const changed = await updateMany(ctx, changes)
    return changed.length < changes.length ? job : rest
  })
}

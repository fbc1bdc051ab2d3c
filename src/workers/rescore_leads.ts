import type { Context } from '../kit/context.ts'
import type { Jobs } from '../kit/jobs.ts'
import { updateMany } from '../resources/leads/service.ts'
import { outdated } from '../resources/scoring_models/service.ts'

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

import type { Versions } from '../../../core/records/repository.ts'
import type { Context } from '../../../core/access/context.ts'
import { conflict, Problem } from '../../../core/errors.ts'
import { enqueue } from '../../../core/jobs.ts'
import { moveOpportunities } from '../opportunities/service.ts'
import { countIn, rearranging, retire, stagesOf } from './service.ts'

/**
 * Deletes a stage, into which nobody comes any more. The opportunities in it move to the stage `move_to`: a thousand at once, the others
 * soon after. Errors: 404, 412, 409 when opportunities are in it and it is not said where they go, 422.
 */
export const remove = async (
  ctx: Context,
  id: number,
  move_to?: string,
  versions?: Versions
): Promise<void> =>
  await rearranging(ctx, async ctx => {
    const { pipeline_id, key: from, kind } = await retire(ctx, id, move_to, versions)
    if (move_to !== undefined) await refuseUnlike(ctx, pipeline_id, kind, move_to)
    const count = await countIn(ctx, pipeline_id, from)
    if (count === 0) return
    if (move_to === undefined)
      throw conflict(
        `Opportunities are in this stage, ${count} of them: say where they go with move_to.`
      )
    const job = {
      organization_id: ctx.organization_id,
      user_id: ctx.user_id,
      pipeline_id,
      from,
      to: move_to
    }
    await moveOpportunities(ctx, job)
    if ((await countIn(ctx, pipeline_id, from)) > 0)
      await enqueue(ctx, 'move_opportunities', job, `${pipeline_id}/${from}`)
  })

async function refuseUnlike(
  ctx: Context,
  pipeline_id: number,
  kind: string,
  move_to: string
): Promise<void> {
  const possible = (await stagesOf(ctx, pipeline_id))
    .filter(stage => stage.kind === kind)
    .map(({ key }) => key)
  if (possible.includes(move_to)) return
  const detail = `There is no other stage ${move_to} in this pipeline that is ${kind}; there is ${possible.join(', ') || 'none'}.`
  throw new Problem(422, 'rule_broken', detail, {
    errors: [{ parameter: 'move_to', code: 'rule_broken', detail }]
  })
}

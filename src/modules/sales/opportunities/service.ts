import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { defined } from '../../../core/defined.ts'
import { conflict, ruleBroken, unknownReference } from '../../../core/errors.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import type { RowOf } from '../../../core/records/resource.ts'
import { defineUndoing } from '../../../core/records/undoing.ts'
import { checkRules, concernsRules, newRecord } from '../../../core/records/rules.ts'
import { assignmentRuleService } from '../../automation/assignment/service.ts'
import { pipelineService } from '../pipelines/service.ts'
import { stageService, type Stage } from '../stages/service.ts'
import { opportunityResource } from './resource.ts'
import { opportunityRules, type Opportunity } from './rules.ts'
import type { NewOpportunity, OpportunityChanges } from './schema.ts'

const records = repository(opportunityResource)

defineUndoing(opportunityResource, {
  locks: ['sales_process:shared'],
  async findImpossible(ctx, found) {
    const all = found as unknown as RowOf<typeof opportunityResource>[]
    const pipelines = [...new Set(all.map(({ pipeline_id }) => pipeline_id))]
    const stages = await stageService.byPipeline(ctx, pipelines)
    const isDeleted = ({ pipeline_id, stage }: (typeof all)[number]) =>
      !stages.get(pipeline_id)?.some(({ key }) => key === stage)
    return all.filter(isDeleted).map(({ id }) => id)
  }
})

export const opportunityService = {
  ...records,

  /** Runs `work`, which writes opportunities, with the locks that come before those of keys. */
  async withLocks<T>(ctx: Context, work: (ctx: Context) => Promise<T>): Promise<T> {
    return await withStages(
      ctx,
      async ctx => await assignmentRuleService.withRotationLock(ctx, ['opportunities'], work)
    )
  },

  /**
   * Creates an opportunity, by default in the first open stage of the default pipeline, and
   * assigned by the rules if it names no user. Errors: 422.
   */
  async create(ctx: Context, input: Static<typeof NewOpportunity>) {
    return await withStages(ctx, async ctx => {
      const pipeline_id = input.pipeline_id ?? (await pipelineService.getDefault(ctx)).id
      const stages = await stagesOf(ctx, pipeline_id)
      const firstOpen = stages.find(({ kind }) => kind === 'open')!
      const stage = input.stage === undefined ? firstOpen : stageNamed(stages, input.stage)
      const opportunity = { ...input, ...entering(stage, input) }
      return await assignmentRuleService.assign(
        ctx,
        'opportunities',
        opportunity,
        async (ctx, assigned) => {
          const after = newRecord(opportunityResource, assigned)
          checkRules(opportunityRules, { before: undefined, after, stage, stages })
          return await records.create(ctx, assigned)
        }
      )
    })
  },

  /**
   * Changes an opportunity; a new stage determines its status, and its probability unless one is
   * given. Errors: 404, 412, 409 for an impossible stage, 422.
   */
  async update(
    ctx: Context,
    id: number,
    changes: Static<typeof OpportunityChanges>,
    versions?: Versions
  ) {
    if (!concernsRules(opportunityRules, changes))
      return await records.update(ctx, id, changes, versions)
    return await withStages(ctx, async ctx => {
      const before = await records.lock(ctx, id, versions)
      const { pipeline_id, stage: key } = { ...before, ...defined(changes) }
      const stages = await stagesOf(ctx, pipeline_id)
      const isEntering = pipeline_id !== before.pipeline_id || key !== before.stage
      const stage = isEntering ? stageNamed(stages, key) : stages.find(stage => stage.key === key)
      const settled = isEntering ? entering(stage!, changes, before) : {}
      const after = { ...before, ...defined(changes), ...settled } as Opportunity
      checkRules(opportunityRules, { before, after, stage, stages })
      return await records.update(ctx, id, { ...changes, ...settled })
    })
  },

  /** Restores an opportunity. Errors: 404, 409 when its stage or pipeline is deleted. */
  async restore(ctx: Context, id: number) {
    return await withStages(ctx, async ctx => {
      const opportunity = await records.restore(ctx, id)
      const { pipeline_id, stage } = opportunity
      const stages = await stageService.ofPipeline(ctx, pipeline_id)
      if (!stages.some(({ key }) => key === stage))
        throw conflict(`The stage ${stage} was deleted: restore it first.`)
      return opportunity
    })
  }
}

/** Runs `work` while no stage of the organization changes. */
const withStages = async <T>(ctx: Context, work: (ctx: Context) => Promise<T>): Promise<T> =>
  await ctx.withLocks(['sales_process:shared'], work)

/** The stages of a pipeline, in order. Errors: 422 for an unknown one. */
async function stagesOf(ctx: Context, pipeline_id: number): Promise<Stage[]> {
  const stages = await stageService.ofPipeline(ctx, pipeline_id)
  if (stages.length === 0) throw unknownReference(['pipeline_id'])
  return stages
}

/** Errors: 422 for a key of no stage. */
function stageNamed(stages: Stage[], key: string): Stage {
  const stage = stages.find(stage => stage.key === key)
  if (stage) return stage
  const allowed = stages.map(({ key }) => key)
  throw ruleBroken(
    'stage',
    `There is no stage ${key} in this pipeline; its stages are ${allowed.join(', ')}.`,
    { rule: 'unknown_stage', value: key, allowed }
  )
}

/** What follows from entering a stage, for a new opportunity or from what it was `before`. */
function entering(stage: Stage, given: Static<typeof OpportunityChanges>, before?: Opportunity) {
  const { pipeline_id, key, kind: status } = stage
  const previousReason = status === 'lost' ? before?.lost_reason : null
  const now = new Date().toISOString()
  return {
    pipeline_id,
    stage: key,
    status,
    lost_reason: given.lost_reason === undefined ? (previousReason ?? null) : given.lost_reason,
    probability: given.probability ?? stage.probability,
    ...(before?.status === status ? {} : { closed_at: status === 'open' ? null : now }),
    // the trigger stamps a change of the key, and this stage has the same key in another pipeline
    ...(before?.stage === key ? { moved_at: now } : {})
  }
}

import type { Static } from '@sinclair/typebox'
import { collection, type Versions } from '../../../core/records/repository.ts'
import type { Context } from '../../../core/access/context.ts'
import { conflict, unknownReference } from '../../../core/errors.ts'
import type { Jobs } from '../../../core/jobs.ts'
import type { ListQuery } from '../../../core/records/list.ts'
import { assigned } from '../../automation/assignment/service.ts'
import { movesOf } from '../stage-history/service.ts'
import * as pipelines from '../pipelines/service.ts'
import { holding, stagesOf } from '../stages/service.ts'
import {
  arrival,
  concernsStage,
  refuseContradiction,
  refuseImpossible,
  refuseMissing,
  stageOf
} from './rules.ts'
import type { NewOpportunity, OpportunityChanges } from './schema.ts'
import { scopes } from './filters.ts'
import { opportunities } from './table.ts'

const {
  create: insert,
  update: change,
  restore: bringBack,
  ...rest
} = collection('opportunity', opportunities, scopes)
export const {
  list,
  stream,
  get,
  find,
  lock,
  createMany,
  updateMany,
  remove,
  history,
  cacheKey,
  where,
  after,
  positionOf
} = rest

/**
 * Makes an opportunity, in the default pipeline and its first open stage if none are named, given to whom the assignment rules say if nobody
 * is named. Errors: 422 for what its stage does not allow.
 */
export const create = async (ctx: Context, input: Static<typeof NewOpportunity>) =>
  await holding(ctx, async ctx => {
    const stages = await stagesOf(ctx, input.pipeline_id ?? (await pipelines.getDefault(ctx)).id)
    if (stages.length === 0) throw unknownReference(['pipeline_id'])
    const stage =
      input.stage === undefined
        ? stages.find(({ kind }) => kind === 'open')!
        : stageOf(stages, input.stage)
    return await assigned(
      ctx,
      'opportunities',
      { ...input, ...arrival(stage, input) },
      async (ctx, opportunity) => {
        refuseMissing(stage, opportunity)
        return await insert(ctx, opportunity)
      }
    )
  })

/**
 * Changes an opportunity; one that moves gets the status of its new stage, and its probability unless one is given. Errors: 409 when its stage
 * does not let it move there, 422 for what its stage does not allow.
 */
export async function update(
  ctx: Context,
  id: number,
  changes: Static<typeof OpportunityChanges>,
  versions?: Versions
) {
  if (!concernsStage(changes)) return await change(ctx, id, changes, versions)
  return await holding(ctx, async ctx => {
    const before = await lock(ctx, id, versions)
    const { pipeline_id = before.pipeline_id, stage: key = before.stage } = changes
    const stages = await stagesOf(ctx, pipeline_id)
    if (stages.length === 0) throw unknownReference(['pipeline_id'])
    if (pipeline_id === before.pipeline_id && key === before.stage) {
      refuseContradiction(
        before,
        changes,
        stages.find(stage => stage.key === key)
      )
      return await change(ctx, id, changes)
    }
    const stage = stageOf(stages, key)
    refuseImpossible(before, stage, stages)
    refuseMissing(stage, { ...before, ...changes })
    return await change(ctx, id, { ...changes, ...arrival(stage, changes, before) })
  })
}

/** Brings a deleted opportunity back. Errors: 404, 409 when its stage or its pipeline is deleted. */
export const restore = async (ctx: Context, id: number) =>
  await holding(ctx, async ctx => {
    const opportunity = await bringBack(ctx, id)
    const { pipeline_id, stage } = opportunity
    const [pipeline] = await pipelines.find(ctx, [pipeline_id])
    if (!pipeline) throw conflict('Its pipeline is deleted: restore that first.')
    const stages = await stagesOf(ctx, pipeline_id)
    if (!stages.some(({ key }) => key === stage))
      throw conflict(`Its stage ${stage} is deleted: restore that first.`)
    return opportunity
  })

/** The way of an opportunity through its stages, newest first. Errors: 404. */
export async function movesOfOpportunity(ctx: Context, id: number, query: ListQuery) {
  await get(ctx, id)
  return await movesOf(ctx, 'opportunity', id, query)
}

type Clearance = Jobs['move_opportunities']

/**
 * Moves up to a thousand opportunities out of a deleted stage. Returns the job as long as there were any: one that changes at this moment
 * stays for the next time.
 */
export const moveOpportunities = async (
  ctx: Context,
  job: Clearance
): Promise<Clearance | undefined> =>
  await holding(ctx, async ctx => {
    const { pipeline_id, from, to } = job
    const stages = await stagesOf(ctx, pipeline_id)
    const target = stages.find(({ key }) => key === to)
    if (!target || stages.some(({ key }) => key === from)) return undefined // by now the one is gone, or the other is back
    const filters = Object.entries({ pipeline_id, stage: from }).map(([field, value]) => ({
      field,
      operator: 'eq' as const,
      value
    }))
    const { data } = await list(ctx, { filters, fields: ['id', 'version'], limit: 1000 })
    await updateMany(
      ctx,
      data.map(({ id, version }) => ({ id, version, stage: to, probability: target.probability }))
    )
    return data.length > 0 ? job : undefined
  })

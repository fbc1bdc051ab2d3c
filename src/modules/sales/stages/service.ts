import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import {
  conflict,
  parameterBreaksRule,
  ruleBroken,
  unknownReference
} from '../../../core/errors.ts'
import { defineJob } from '../../../core/jobs.ts'
import { equal } from '../../../core/records/filter.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import { assertShown } from '../../../core/records/visibility.ts'
import { defineUserJob, type Batch } from '../../../core/user-jobs.ts'
import { opportunityResource } from '../opportunities/resource.ts'
import { opportunitiesIn, placeNext, stagesBeingCleared } from './queries.ts'
import { stageResource } from './resource.ts'
import { assertNextStages, assertOneOpen, isOpen, probabilityOf, type Stage } from './rules.ts'
import {
  maxPosition,
  maxStages,
  type NewStage,
  type PipelineStage,
  type StageChanges
} from './schema.ts'

export type { Stage } from './rules.ts'

/** Moves the opportunities that are still in a deleted stage to another one of its pipeline. */
export interface MoveOpportunities {
  pipeline_id: number
  from: string
  to: string
}
export const moveOpportunities = defineUserJob<MoveOpportunities>('move_opportunities', {
  isCancelable: false
})

/**
 * Gives opportunities after an ID the positions that their stages have now, to be sorted by. Added
 * by the trigger `sort_opportunities`.
 */
export interface PlaceOpportunities {
  after: number
}
export const placeOpportunities = defineJob<PlaceOpportunities>('place_opportunities')

const keyOf = ({ pipeline_id, from }: Omit<MoveOpportunities, 'to'>) => `${pipeline_id}/${from}`

const records = repository(stageResource)
const opportunities = repository(opportunityResource)
const batchSize = 1000
const inOrder = ['position', 'id'].map(field => ({ field, descending: false }))
const keysOfStages = (stages: Stage[]) => stages.map(({ key }) => key)

export const stageService = {
  ...records,

  /** The stages of each of the pipelines, in order, by pipeline. */
  async byPipeline(ctx: Context, pipeline_ids: number[]): Promise<Map<number, Stage[]>> {
    const { data } = await records.list(ctx, {
      filters: [{ field: 'pipeline_id', operator: 'in', value: pipeline_ids }],
      sort: inOrder,
      limit: pipeline_ids.length * maxStages
    })
    return Map.groupBy(data, ({ pipeline_id }) => pipeline_id)
  },

  /** The stages of a pipeline, in order; none if there is no such pipeline. */
  async ofPipeline(ctx: Context, pipeline_id: number): Promise<Stage[]> {
    return (await stageService.byPipeline(ctx, [pipeline_id])).get(pipeline_id) ?? []
  },

  /** The number of opportunities in a stage; without a key, in any stage of the pipeline. */
  async countOpportunities(
    ctx: Context,
    pipeline_id: number,
    key: string | null = null
  ): Promise<number> {
    return await ctx.count(opportunitiesIn(pipeline_id, key))
  },

  /**
   * Creates a stage. Without a position, an open one comes after the last open one, another one at
   * the end. Errors: 409 for a key that the pipeline has or had, 422.
   */
  async create(ctx: Context, input: Static<typeof NewStage>) {
    return await ctx.withLocks(['sales_process'], async ctx => {
      const others = await stageService.ofPipeline(ctx, input.pipeline_id)
      if (others.length === 0) throw unknownReference(['pipeline_id'])
      assertNextStages(input.next_stages, keysOfStages(others))
      assertSeen(ctx, input.required_fields)
      const { kind = 'open', position = await makeRoom(ctx, kind, others) } = input
      const probability = probabilityOf(kind, input.probability)
      const stage = await records.create(ctx, { ...input, position, probability })
      await assertNotTooMany(ctx, stage)
      return stage
    })
  },

  /** Creates the stages of a new pipeline. Errors: 422 at `/stages/…`. */
  async createForPipeline(
    ctx: Context,
    pipeline_id: number,
    inputs: Static<typeof PipelineStage>[]
  ): Promise<void> {
    const keys = inputs.map(({ key }) => key)
    const stages = inputs.map((input, i) => {
      const { key, kind = 'open', required_fields = [], next_stages = null } = input
      const at = `stages/${i}`
      if (keys.indexOf(key) < i)
        throw ruleBroken(`${at}/key`, `Another stage already has the key ${key}.`, {
          rule: 'distinct',
          value: key
        })
      const others = keys.filter(other => other !== key)
      assertNextStages(next_stages, others, `${at}/next_stages`)
      assertSeen(ctx, required_fields, { at: `/${at}` })
      const probability = probabilityOf(kind, input.probability, `${at}/probability`)
      const position = i + 1
      return { ...input, pipeline_id, kind, required_fields, next_stages, probability, position }
    })
    if (!stages.some(isOpen))
      throw ruleBroken('stages', 'A pipeline needs at least one open stage.', { rule: 'one_open' })
    await records.createMany(ctx, stages)
  },

  /**
   * Changes a stage. Errors: 404, 412, 422, 409 for another kind while opportunities are in it or
   * when no stage would be open.
   */
  async update(
    ctx: Context,
    id: number,
    changes: Static<typeof StageChanges>,
    versions?: Versions
  ) {
    if (changes.position === undefined) return await change(ctx, id, changes, versions)
    // no opportunity comes to a stage while stages change their positions
    return await ctx.withLocks(
      ['sales_process'],
      async ctx => await change(ctx, id, changes, versions)
    )
  },

  /** Places a batch of opportunities; returns the job for the next ones. */
  async place<Job extends PlaceOpportunities>(ctx: Context, job: Job): Promise<Job | undefined> {
    const query = placeNext(job.after, batchSize)
    const [placed] = await ctx.write<{ last: number | null }>([], query)
    const { last } = placed!
    return last === null ? undefined : { ...job, after: last }
  },

  /**
   * Deletes a stage. Its opportunities move to the stage `move_to`: a thousand immediately, the
   * others by a job, whose ID is returned. What such a job has left goes on as well: also of this
   * stage, if it is deleted already. Errors: 404, 412, 409 when it has opportunities and `move_to`
   * is missing, 422.
   */
  async remove(
    ctx: Context,
    id: number,
    versions?: Versions,
    move_to?: string
  ): Promise<number | undefined> {
    return await ctx.withLocks(['sales_process'], async ctx => {
      const [left] = await ctx.rows<Uncleared>(stagesBeingCleared({ id }))
      const stage = left ?? (await softDelete(ctx, id, move_to, versions))
      if (move_to !== undefined) await assertTarget(ctx, stage, move_to)
      const { pipeline_id, key: from } = stage
      const count = await stageService.countOpportunities(ctx, pipeline_id, from)
      if (count === 0) return undefined
      if (move_to === undefined)
        throw conflict('The stage has opportunities: specify their new stage in `move_to`.')
      const job = { pipeline_id, from, to: move_to }
      const { done } = await stageService.clear(ctx, job)
      if (done === count) return undefined
      return await moveOpportunities.start(ctx, job, { key: keyOf(job), done, total: count })
    })
  },

  /**
   * Moves a batch of opportunities out of a deleted stage, and returns how many. The rest is the
   * job as long as there are any: one that changes concurrently is left for the next batch.
   */
  async clear<Job extends MoveOpportunities>(ctx: Context, job: Job): Promise<Batch<Job>> {
    const { pipeline_id, from, to } = job
    return await ctx.withLocks(['sales_process:shared'], async ctx => {
      const stages = await stageService.ofPipeline(ctx, pipeline_id)
      const target = stages.find(({ key }) => key === to)
      // the target may have been deleted, or the stage restored, in the meantime
      if (!target || stages.some(({ key }) => key === from)) return { done: 0 }
      const { data } = await opportunities.list(ctx.unlimited, {
        filters: equal({ pipeline_id, stage: from }),
        fields: ['id', 'version'],
        limit: batchSize
      })
      const { probability } = target
      const changes = data.map(({ id, version }) => ({ id, version, stage: to, probability }))
      const { length: done } = await opportunities.updateMany(ctx.unlimited, changes)
      return { done, ...(data.length > 0 && { rest: job }) }
    })
  },

  /** Restores a stage. Errors: 404, 409 when its pipeline has too many. */
  async restore(ctx: Context, id: number) {
    return await ctx.withLocks(['sales_process'], async ctx => {
      const stage = await records.restore(ctx, id)
      await assertNotTooMany(ctx, stage)
      return stage
    })
  }
}

/** Errors: 400 for a new required field that the caller does not see. */
function assertSeen(
  ctx: Context,
  required: string[] = [],
  { before = [], at = '' }: { before?: string[]; at?: string } = {}
): void {
  const added = required.flatMap((field, i) =>
    before.includes(field) ? [] : [[field, `${at}/required_fields/${i}`]]
  )
  assertShown(ctx, opportunityResource, Object.fromEntries(added))
}

async function change(
  ctx: Context,
  id: number,
  changes: Static<typeof StageChanges>,
  versions: Versions
): Promise<Stage> {
  const { kind, probability, next_stages, required_fields } = changes
  if ([kind, probability, next_stages, required_fields].every(one => one === undefined))
    return await records.update(ctx, id, changes, versions)
  return await ctx.withLocks(['sales_process'], async ctx => {
    const before = await records.lock(ctx, id, versions)
    const all = await stageService.ofPipeline(ctx, before.pipeline_id)
    const others = all.filter(stage => stage.id !== id)
    const newKind = kind ?? before.kind
    const unchanged = newKind === 'open' ? before.probability : undefined
    // an unchanged next stage may have been deleted: saving a form must not fail for it
    assertNextStages(next_stages, [...keysOfStages(others), ...(before.next_stages ?? [])])
    assertSeen(ctx, required_fields, { before: before.required_fields })
    const newProbability = probabilityOf(newKind, probability ?? unchanged)
    if (newKind !== before.kind) await assertNewKind(ctx, before, [...others, { kind: newKind }])
    return await records.update(ctx, id, { ...changes, probability: newProbability })
  })
}

/**
 * Deletes a stage; other stages that it could follow are followed by `successor` instead, if given.
 * Its opportunities are up to the caller. Errors: 404, 412, 409 when no stage would be open.
 */
async function softDelete(
  ctx: Context,
  id: number,
  successor: string | undefined,
  versions: Versions
): Promise<Stage> {
  const stage = await records.lock(ctx, id, versions)
  await clearOthers(ctx, stage, successor)
  await records.remove(ctx, id)
  const others = await stageService.ofPipeline(ctx, stage.pipeline_id)
  assertOneOpen(others)
  const changes = others
    .filter(({ next_stages }) => next_stages?.includes(stage.key))
    .map(other => ({ id: other.id, next_stages: replaceNext(other, stage.key, successor) }))
  await records.updateMany(ctx, changes)
  return stage
}

/** The stages that follow `stage`, with `key` replaced by its successor. */
function replaceNext(stage: Stage, key: string, successor: string | undefined): string[] {
  const next = stage.next_stages!.flatMap(one => {
    if (one !== key) return [one]
    return successor === undefined || successor === stage.key ? [] : [successor]
  })
  return [...new Set(next)]
}

/**
 * The position of a new stage of this kind among the others, which are in order; those after it
 * are moved back if there is no room, and all get new positions if there is none at the end.
 */
async function makeRoom(ctx: Context, kind: Stage['kind'], others: Stage[]): Promise<number> {
  const index = kind === 'open' ? others.findLastIndex(isOpen) + 1 : others.length
  const later = others.slice(index)
  const position = others[index - 1]!.position + 1
  const shift = Math.max(0, later.length > 0 ? position + 1 - later[0]!.position : 0)
  const last = later.length > 0 ? later.at(-1)!.position + shift : position
  if (last > maxPosition) {
    const renumbered = others.map(({ id }, i) => ({ id, position: i < index ? i + 1 : i + 2 }))
    await records.updateMany(ctx, renumbered)
    return index + 1
  }
  if (shift > 0) {
    const changes = later.map(({ id, position }) => ({ id, position: position + shift }))
    await records.updateMany(ctx, changes)
  }
  return position
}

async function assertNewKind(
  ctx: Context,
  { pipeline_id, key }: Stage,
  stages: Pick<Stage, 'kind'>[]
): Promise<void> {
  assertOneOpen(stages)
  await assertNoneBeingCleared(ctx, pipeline_id)
  const count = await stageService.countOpportunities(ctx, pipeline_id, key)
  if (count > 0) throw conflict('The stage has opportunities: its kind cannot be changed.')
}

async function assertNotTooMany(ctx: Context, { pipeline_id }: Stage): Promise<void> {
  const { data } = await records.list(ctx, {
    filters: equal({ pipeline_id }),
    fields: ['id'],
    limit: maxStages + 1
  })
  if (data.length > maxStages) throw conflict(`A pipeline can have at most ${maxStages} stages.`)
}

/** A deleted stage that has opportunities. */
type Uncleared = Pick<Stage, 'pipeline_id' | 'key' | 'kind'>

/**
 * While a deleted stage is being cleared, its opportunities still enter another one, which must
 * not be deleted or change its meaning. Errors: 409.
 */
async function assertNoneBeingCleared(ctx: Context, pipeline_id: number): Promise<void> {
  const [stage] = await ctx.rows<Uncleared>(stagesBeingCleared({ pipeline_id }))
  if (stage) throw beingCleared(stage)
}

const beingCleared = ({ key }: Uncleared) =>
  conflict(
    `Opportunities are still leaving the deleted stage ${key}. Try again later, or delete it again.`
  )

/**
 * Restarts what failed jobs have left in deleted stages of a pipeline of which a stage is to be
 * deleted; what was to enter that one enters its successor. Errors: 409 while a job goes on.
 */
async function clearOthers(
  ctx: Context,
  { pipeline_id, key }: Stage,
  successor: string | undefined
): Promise<void> {
  for (const stage of await ctx.rows<Uncleared>(stagesBeingCleared({ pipeline_id }))) {
    const from = stage.key
    const job = { pipeline_id, from }
    const rest = await moveOpportunities.restOf(ctx, keyOf(job))
    const to = rest?.to === key ? successor : rest?.to
    if (to === undefined) throw beingCleared(stage)
    const total = await stageService.countOpportunities(ctx, pipeline_id, from)
    await moveOpportunities.start(ctx, { ...job, to }, { key: keyOf(job), total })
  }
}

/** Errors: 422 unless `move_to` is a stage of the same pipeline and kind. */
async function assertTarget(
  ctx: Context,
  { pipeline_id, kind }: Uncleared,
  move_to: string
): Promise<void> {
  const stages = await stageService.ofPipeline(ctx, pipeline_id)
  const possible = keysOfStages(stages.filter(stage => stage.kind === kind))
  if (possible.includes(move_to)) return
  const detail =
    `move_to must be another ${kind} stage of this pipeline: ` +
    `${possible.join(', ') || 'there is none'}.`
  const params = { rule: 'unknown_stage', value: move_to, allowed: possible }
  throw parameterBreaksRule('move_to', detail, params)
}

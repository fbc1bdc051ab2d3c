import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { conflict, ruleBroken } from '../../../core/errors.ts'
import { equal } from '../../../core/records/filter.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import { stageService } from '../stages/service.ts'
import { pipelineResource } from './resource.ts'
import type { NewPipeline, PipelineChanges } from './schema.ts'

const records = repository(pipelineResource)

/** The stages of a pipeline that is created without any. */
const defaultStages: NonNullable<Static<typeof NewPipeline>['stages']> = [
  { key: 'prospecting', name: 'Prospecting', probability: 10 },
  { key: 'qualification', name: 'Qualification', probability: 25 },
  { key: 'proposal', name: 'Proposal', probability: 50 },
  { key: 'negotiation', name: 'Negotiation', probability: 75 },
  { key: 'won', name: 'Won', kind: 'won' },
  { key: 'lost', name: 'Lost', kind: 'lost' }
]

export const pipelineService = {
  ...records,

  /** Creates a pipeline with its stages. Errors: 409 for a taken name, 422 at `/stages/…`. */
  async create(ctx: Context, { stages = defaultStages, ...input }: Static<typeof NewPipeline>) {
    return await ctx.withLocks(['sales_process'], async ctx => {
      if (input.is_default) await unsetDefault(ctx)
      const pipeline = await records.create(ctx, input)
      await stageService.createForPipeline(ctx, pipeline.id, stages)
      return pipeline
    })
  },

  /** Creates the pipeline that an organization starts with. */
  async createDefault(ctx: Context): Promise<void> {
    await pipelineService.create(ctx, { name: 'Sales', is_default: true })
  },

  /** The pipeline of opportunities that name none. Errors: 422 when there is none. */
  async getDefault(ctx: Context) {
    const pipeline = await findDefault(ctx)
    if (!pipeline)
      throw ruleBroken('pipeline_id', 'There is no default pipeline: specify one.', {
        rule: 'no_default'
      })
    return pipeline
  },

  /**
   * Changes a pipeline; one that becomes the default unsets the previous one. Errors: 404, 412,
   * 409 for a taken name, 422.
   */
  async update(
    ctx: Context,
    id: number,
    changes: Static<typeof PipelineChanges>,
    versions?: Versions
  ) {
    const { is_default } = changes
    if (is_default === undefined) return await records.update(ctx, id, changes, versions)
    return await ctx.withLocks(['sales_process'], async ctx => {
      const before = await records.lock(ctx, id, versions)
      if (before.is_default && !is_default)
        throw ruleBroken(
          'is_default',
          'Make another pipeline the default instead; this one then stops being the default.',
          { rule: 'one_default' }
        )
      if (!before.is_default && is_default) await unsetDefault(ctx)
      return await records.update(ctx, id, changes)
    })
  },

  /**
   * Deletes a pipeline; its stages stay with it, unused. Errors: 404, 412, 409 for the default one
   * and for one that has opportunities.
   */
  async remove(ctx: Context, id: number, versions?: Versions): Promise<void> {
    await ctx.withLocks(['sales_process'], async ctx => {
      const { is_default } = await records.lock(ctx, id, versions)
      if (is_default)
        throw conflict(
          'The default pipeline cannot be deleted: make another one the default first.'
        )
      const count = await stageService.countOpportunities(ctx, id)
      if (count > 0) throw conflict('The pipeline has opportunities: move or delete them first.')
      await records.remove(ctx, id)
    })
  }
}

const findDefault = async (ctx: Context) =>
  await records.first(ctx, { filters: equal({ is_default: true }) })

async function unsetDefault(ctx: Context): Promise<void> {
  const pipeline = await findDefault(ctx)
  if (pipeline) await records.update(ctx, pipeline.id, { is_default: false })
}

import type { Static } from '@sinclair/typebox'
import { collection, type Versions } from '../../../core/records/repository.ts'
import type { Context } from '../../../core/access/context.ts'
import { conflict, ruleBroken } from '../../../core/errors.ts'
import { countIn, createAll, rearranging } from '../stages/service.ts'
import type { NewPipeline, PipelineChanges } from './schema.ts'
import { pipelines } from './table.ts'

const {
  create: insert,
  update: change,
  remove: removeAny,
  lock,
  ...rest
} = collection('pipeline', pipelines)
export const { list, stream, get, find, restore, history, cacheKey } = rest

/** The stages of a pipeline that brings none of its own. */
const usualStages: NonNullable<Static<typeof NewPipeline>['stages']> = [
  { key: 'prospecting', name: 'Prospecting', probability: 10 },
  { key: 'qualification', name: 'Qualification', probability: 25 },
  { key: 'proposal', name: 'Proposal', probability: 50 },
  { key: 'negotiation', name: 'Negotiation', probability: 75 },
  { key: 'won', name: 'Won', kind: 'won' },
  { key: 'lost', name: 'Lost', kind: 'lost' }
]

/** Makes a pipeline with its stages. Errors: 409 for a name that is taken, 422 at `/stages/…`. */
export const create = async (
  ctx: Context,
  { stages = usualStages, ...input }: Static<typeof NewPipeline>
) =>
  await rearranging(ctx, async ctx => {
    if (input.is_default) await makeWay(ctx)
    const pipeline = await insert(ctx, input)
    await createAll(ctx, pipeline.id, stages)
    return pipeline
  })

/** The pipeline that an organisation begins with. */
export const createFirst = async (ctx: Context) =>
  await create(ctx, { name: 'Sales', is_default: true })

/** The pipeline of opportunities that name none. Errors: 422 when there is none. */
export async function getDefault(ctx: Context) {
  const pipeline = await findDefault(ctx)
  if (!pipeline) throw ruleBroken('pipeline_id', 'There is no default pipeline: name one.')
  return pipeline
}

const findDefault = async (ctx: Context) =>
  (await list(ctx, { filters: [{ field: 'is_default', operator: 'eq', value: true }], limit: 1 }))
    .data[0]

/** There is one default pipeline: the present one stops being it. */
async function makeWay(ctx: Context): Promise<void> {
  const present = await findDefault(ctx)
  if (present) await change(ctx, present.id, { is_default: false })
}

/** Changes a pipeline; one that becomes the default takes it from the other one. Errors: 409 for a name that is taken, 422. */
export async function update(
  ctx: Context,
  id: number,
  changes: Static<typeof PipelineChanges>,
  versions?: Versions
) {
  if (changes.is_default === undefined) return await change(ctx, id, changes, versions)
  return await rearranging(ctx, async ctx => {
    const before = await lock(ctx, id, versions)
    if (before.is_default && !changes.is_default)
      throw ruleBroken(
        'is_default',
        'Make another pipeline the default: this one stops being it then.'
      )
    if (!before.is_default && changes.is_default) await makeWay(ctx)
    return await change(ctx, id, changes)
  })
}

/** Deletes a pipeline; its stages stay with it, out of use. Errors: 404, 412, 409 for the default one and while opportunities are in it. */
export const remove = async (ctx: Context, id: number, versions?: Versions) =>
  await rearranging(ctx, async ctx => {
    const { is_default } = await lock(ctx, id, versions)
    if (is_default)
      throw conflict('This is the default pipeline: make another one the default first.')
    const count = await countIn(ctx, id)
    if (count > 0)
      throw conflict(
        `Opportunities are in this pipeline, ${count} of them: move or delete them first.`
      )
    await removeAny(ctx, id)
  })

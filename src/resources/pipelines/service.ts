import { collection } from '../../kit/collection.ts'
import type { Context } from '../../kit/context.ts'
import { ruleBroken } from '../../kit/errors.ts'
import * as stages from '../stages/service.ts'
import { pipelines } from './table.ts'

export const { list, stream, get, find, lock, create, update, remove, restore, history, cacheKey } = collection('pipeline', pipelines)

/** The stages that an organisation begins with. */
const firstStages = [
  { key: 'prospecting', name: 'Prospecting', probability: 10, kind: 'open' },
  { key: 'qualification', name: 'Qualification', probability: 25, kind: 'open' },
  { key: 'proposal', name: 'Proposal', probability: 50, kind: 'open' },
  { key: 'negotiation', name: 'Negotiation', probability: 75, kind: 'open' },
  { key: 'won', name: 'Won', probability: 100, kind: 'won' },
  { key: 'lost', name: 'Lost', probability: 0, kind: 'lost' }
] as const

/** The pipeline that an organisation begins with. */
export async function createFirst (ctx: Context): Promise<void> {
  const { id: pipeline_id } = await create(ctx, { name: 'Sales', is_default: true })
  await stages.createMany(ctx, firstStages.map((stage, i) => ({ ...stage, pipeline_id, position: i + 1 })))
}

/** The pipeline of opportunities that name none. Errors: 422 when there is none. */
export async function getDefault (ctx: Context) {
  const { data: [pipeline] } = await list(ctx, { filters: [{ field: 'is_default', operator: 'eq', value: true }], limit: 1 })
  if (!pipeline) throw ruleBroken('pipeline_id', 'There is no default pipeline: name one.')
  return pipeline
}

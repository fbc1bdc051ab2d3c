import type { Static } from '@sinclair/typebox'
import { collection } from '../../kit/collection.ts'
import type { Context } from '../../kit/context.ts'
import * as pipelines from '../pipelines/service.ts'
import type { NewOpportunity } from './schema.ts'
import { opportunities } from './table.ts'

const { create: insert, ...rest } = collection('opportunity', opportunities)
export const { list, stream, get, find, createMany, update, remove, restore, history, cacheKey } = rest

/** Makes an opportunity, in the default pipeline if none is named. */
export async function create (ctx: Context, input: Static<typeof NewOpportunity>) {
  return await insert(ctx, { ...input, pipeline_id: input.pipeline_id ?? (await pipelines.getDefault(ctx)).id })
}

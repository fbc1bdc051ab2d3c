import type { Context } from '../../../core/access/context.ts'
import { defineOperation } from '../../../core/records/operations.ts'
import { batchRejected, type BodyOf } from './errors.ts'
import type { Item } from './items.ts'
import { BatchRun, type Results, type RunOptions } from './run.ts'

const batchKind = defineOperation('batch')

/** Carries out each operation that can be. Several are an operation of their own. */
export async function runIndependent(
  ctx: Context,
  items: Item[],
  options: RunOptions
): Promise<Results> {
  const run = async (ctx: Context) =>
    await ctx.series(async ctx => await new BatchRun(items, options).run(ctx))
  return items.length === 1 ? await run(ctx) : await ctx.operation(batchKind, run)
}

/** Carries out all operations, or none. Errors: 422 with all that is wrong. */
export async function runAtomic(
  ctx: Context,
  items: Item[],
  options: RunOptions,
  bodyOf: BodyOf
): Promise<Results> {
  return await ctx.transaction(async ctx => {
    const found = await runIndependent(ctx, items, options)
    if (found.problems.size > 0) throw batchRejected(found, bodyOf)
    return found
  })
}

import type { Context } from '../../../core/access/context.ts'
import { Problem, problemOfDatabase } from '../../../core/errors.ts'
import { defineOperation } from '../../../core/records/operations.ts'
import { batchRejected, failedDependency } from './errors.ts'
import type { Item } from './items.ts'
import { BatchRun, type Results, type RunOptions } from './run.ts'

const batchKind = defineOperation('batch')

/** A series of changes; several of them are an operation. */
async function inSeries(
  ctx: Context,
  items: Item[],
  work: (ctx: Context) => Promise<Results>
): Promise<Results> {
  if (items.length === 1) return await ctx.series(work)
  return await ctx.operation(batchKind, async ctx => await ctx.series(work))
}

/** Whether an error is one of an operation, and not of the server. */
const isRefusal = (error: unknown): boolean => {
  const problem = error instanceof Problem ? error : problemOfDatabase(error)
  return problem !== undefined && problem.status < 500
}

/** Nearly always everything works: savepoints for each operation are only set if not. */
export async function runIndependent(
  ctx: Context,
  items: Item[],
  options: RunOptions
): Promise<Results> {
  return await ctx.transaction(async ctx => {
    try {
      return await ctx.attempt(
        async ctx => await inSeries(ctx, items, ctx => new BatchRun(items, options).all(ctx))
      )
    } catch (error) {
      if (!isRefusal(error)) throw error
      return await inSeries(ctx, items, ctx => new BatchRun(items, options).each(ctx))
    }
  })
}

/** Errors: 422 with all that is wrong. */
export async function runAtomic(
  ctx: Context,
  items: Item[],
  options: RunOptions
): Promise<Results> {
  return await ctx.transaction(async ctx => {
    try {
      return await ctx.attempt(
        async ctx => await inSeries(ctx, items, ctx => new BatchRun(items, options).all(ctx))
      )
    } catch (error) {
      if (!isRefusal(error)) throw error
      const found = await inSeries(ctx, items, ctx => new BatchRun(items, options).each(ctx))
      // what failed once and not again: somebody else has changed something meanwhile
      if (found.problems.size === 0) throw error
      throw batchRejected(found.problems, refused(found, options))
    }
  })
}

/** The results of an atomic batch of which nothing was done. */
function refused({ results, problems }: Results, { bodyOf }: RunOptions) {
  const other = failedDependency('Another operation of the batch failed.')
  return results.map(({ index, ref, ...result }) =>
    problems.has(index)
      ? { index, ...(ref !== undefined && { ref }), ...result }
      : { index, ...(ref !== undefined && { ref }), status: other.status, problem: bodyOf(other) }
  )
}

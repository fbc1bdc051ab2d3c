import { fullReachRequired, tooRisky } from '../errors.ts'
import { planRequired } from '../writes/errors.ts'
import type { Context } from './context.ts'

/** Rows of an export, and records of a change, that a credential needs no further right for. */
const largestExport = 10_000
export const largestChange = 100

/**
 * Errors: 403 for a large export with an API token that may not risk it. `count`: the number of
 * rows, which is only asked for if it matters.
 */
export async function assertMayExport(ctx: Context, count: () => Promise<number>): Promise<void> {
  if (ctx.principal.access.mayRisk('destructive')) return
  if ((await count()) > largestExport)
    throw tooRisky(`Exports of more than ${largestExport.toLocaleString('en')} rows`)
}

/**
 * For rules about all records, and who works on them. Errors: 403 for callers who reach only some.
 */
export function assertReachesAll(ctx: Context): void {
  if (ctx.principal.access.isNarrow) throw fullReachRequired()
}

/**
 * Errors: for a change of many records, 403 with an API token that may not risk it, 428 with one
 * that requires a plan and has none.
 */
export function assertMayChange(ctx: Context, records: number): void {
  if (records <= largestChange) return
  const { access, token } = ctx.principal
  if (!access.mayRisk('destructive'))
    throw tooRisky(`Changes of more than ${largestChange} records`)
  if (token?.require_plan && !ctx.isPlanned) throw planRequired()
}

import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Context } from '../../core/access/context.ts'
import { largestChange } from '../../core/access/risk.ts'
import { malformed } from '../../core/errors.ts'
import { json } from '../../core/http/responses.ts'
import { planRequired, planStale } from '../../core/writes/errors.ts'
import { Effects, type Effect } from '../../core/writes/effects.ts'
import type { StoredResponse } from '../../core/writes/keys.ts'
import { isPlanOf, indexesNotIn, planFor, planOf, type Plan } from '../../core/writes/plans.ts'
import { canonicalRequest } from './options.ts'

/** Thrown to end a transaction without a change; `body` is that of the response. */
export class RolledBack extends Error {
  readonly body: string

  constructor(body: string) {
    super('the transaction was rolled back')
    this.body = body
  }
}

/** What a plan is for: a request, as it is before its handler may change it. */
export const plannedText = (request: FastifyRequest): string =>
  canonicalRequest(request, 'if-match')

/**
 * The end of a dry run, in its transaction: the response has the effects, and a plan for the
 * request, which was `sent` as this text.
 */
export async function finishDryRun(
  ctx: Context,
  sent: string,
  reply: FastifyReply,
  { status, body, headers }: StoredResponse
): Promise<RolledBack> {
  const effects = await Effects.of(ctx)
  const shown = await shownIn(ctx, effects, () => true)
  const applied = [headers['preference-applied'], 'dry-run'].filter(Boolean).join(', ')
  // there will be neither this version nor this record
  reply.removeHeader('etag').removeHeader('location')
  reply.header('preference-applied', applied).header('plan', planFor(ctx, sent, effects))
  if (status === 204) reply.code(200).type(json)
  return new RolledBack(JSON.stringify({ ...JSON.parse(body || '{}'), effects: shown }))
}

/** Errors: 428 if the transaction of `ctx` deletes or restores records, or changes many. */
export async function assertHarmless(ctx: Context): Promise<void> {
  const { ops } = await Effects.of(ctx)
  const isDestructive = ops.some(op => op === 'deleted' || op === 'restored')
  if (isDestructive || ops.length > largestChange) throw planRequired()
}

/** The plan that a request is sent with. Errors: 400 if it is of another one, 412 if it expired. */
export function planIn(ctx: Context, sent: string, header: string): Plan {
  const plan = planOf(ctx, sent, header)
  if (!plan) throw malformed('If-Plan must be the Plan of a dry run of the same request.')
  if (plan.expires < Date.now() / 1000) throw planStale('The plan has expired.', [])
  return plan
}

/** Errors: 412 if the transaction of `ctx` has other effects than a plan. */
export async function assertPlanned(ctx: Context, plan: Plan): Promise<void> {
  const effects = await Effects.of(ctx)
  if (isPlanOf(ctx, plan, effects)) return
  const indexes = indexesNotIn(ctx, plan, effects)
  const differing = await shownIn(ctx, effects, index => indexes.has(index))
  throw planStale('The effects are no longer those of the plan.', differing)
}

/** Those effects of some indexes that the caller may know of. */
async function shownIn(
  ctx: Context,
  effects: Effects,
  isWanted: (index: number) => boolean
): Promise<Effect[]> {
  const shown = await effects.shownTo(ctx)
  return shown.filter(({ index }) => isWanted(index)).map(({ index: _, ...effect }) => effect)
}

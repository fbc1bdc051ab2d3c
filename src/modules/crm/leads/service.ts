import type { Static } from '@sinclair/typebox'
import { collection, type RowOf, type Versions } from '../../../core/records/repository.ts'
import type { Context } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { impossibleMove, ruleBroken } from '../../../core/errors.ts'
import { isAsker } from '../../../core/records/filter.ts'
import type { ListQuery } from '../../../core/records/list.ts'
import { assigned, inTurn } from '../../automation/assignment/service.ts'
import { campaignMembers } from '../../marketing/campaign-members/table.ts'
import { movesOf } from '../../sales/stage-history/service.ts'
import { moves } from '../../sales/stage-history/table.ts'
import { keepingScore, scored } from '../../automation/scoring/service.ts'
import type { LeadChanges, NewLead, Qualification } from './schema.ts'
import { leads, statuses } from './table.ts'

type Lead = RowOf<typeof leads>
type Status = (typeof statuses)[number]

const {
  create: insert,
  update: change,
  ...rest
} = keepingScore(
  collection('lead', leads, {
    entered_status:
      status => sql`exists (select from ${moves} where ${moves.organization_id} = ${leads.organization_id}
    and ${moves.subject_type} = 'lead' and ${moves.subject_id} = ${leads.id} and ${moves.to_stage} = ${status})`,
    campaign_id:
      campaign => sql`exists (select from ${campaignMembers} where ${campaignMembers.organization_id} = ${leads.organization_id}
    and ${campaignMembers.lead_id} = ${leads.id} and ${campaignMembers.campaign_id} = ${campaign} and ${campaignMembers.deleted_at} is null)`,
    mine: isAsker(leads.assigned_to)
  })
)
export const {
  list,
  stream,
  get,
  lock,
  find,
  where,
  createMany,
  updateMany,
  remove,
  restore,
  history,
  cacheKey
} = rest

/** The statuses that a lead is given by hand; `converted` is what a conversion gives it. */
const byHand = statuses.filter(status => status !== 'converted')

/**
 * Makes a lead, scored by the model and, if it names no user, assigned by the rules, which may ask for the score. Errors: 422 for one
 * that would be converted already, or that has a reason without being unqualified.
 */
export async function create(ctx: Context, input: Static<typeof NewLead>) {
  if (input.status === 'converted')
    throw ruleBroken('status', 'A lead is converted by POST /api/leads/{id}/conversion.')
  const unqualified_reason = reasonOf(input.status ?? 'new', input.unqualified_reason)
  const given = {
    ...input,
    unqualified_reason,
    ...(input.status === 'qualified' && { qualified_at: now() })
  }
  const make = async (ctx: Context) =>
    await scored(ctx, given, async (ctx, input) => await assigned(ctx, 'leads', input, insert))
  return input.assigned_to === undefined ? await inTurn(ctx, ['leads'], make) : await make(ctx)
}

/** How a request calls the status of a lead and the reason for it. */
const names = { status: 'status', reason: 'unqualified_reason' }

/** Changes a lead. Errors: 409 for a status it cannot come to, 422 for a reason without being unqualified. */
export async function update(
  ctx: Context,
  id: number,
  changes: Static<typeof LeadChanges>,
  versions?: Versions,
  called = names
) {
  if (changes.status === undefined && changes.unqualified_reason === undefined)
    return await change(ctx, id, changes, versions)
  return await ctx.transaction(
    async ctx =>
      await change(ctx, id, {
        ...changes,
        ...moved(await lock(ctx, id, versions), changes, called)
      })
  )
}

/** Says whether something may come of a lead: `update`, in other words. */
export async function qualify(
  ctx: Context,
  id: number,
  asked: Static<typeof Qualification>,
  versions?: Versions
) {
  const { outcome = 'qualified', reason } = asked ?? {}
  const changes = { status: outcome, ...(reason !== undefined && { unqualified_reason: reason }) }
  return await update(ctx, id, changes, versions, { status: 'outcome', reason: 'reason' })
}

/** Makes a lead, locked by the caller, a converted one; it gets this contact if it has none. */
export const convert = async (ctx: Context, { id, contact_id }: Lead, contact: number | null) =>
  await change(ctx, id, {
    status: 'converted',
    converted_at: now(),
    unqualified_reason: null,
    contact_id: contact_id ?? contact
  })

/** Takes a conversion back: the lead, locked by the caller, is again what it was `before`. */
export const unconvert = async (ctx: Context, id: number, before: Partial<Lead>) =>
  await change(ctx, id, { ...before, converted_at: null })

/** The way of a lead through its statuses. Errors: 404. */
export async function movesOfLead(ctx: Context, id: number, query: ListQuery) {
  await get(ctx, id)
  return await movesOf(ctx, 'lead', id, query)
}

const now = () => new Date().toISOString()

/** What changes with the status of a lead, or the reason for it. Errors: 409 for a status it cannot come to, 422 for a reason that is none. */
function moved(
  before: Lead,
  changes: Static<typeof LeadChanges>,
  called: typeof names
): Partial<Lead> {
  const { status = before.status } = changes
  if (status !== before.status) refuseImpossible(before.status, status, called.status)
  return {
    unqualified_reason: reasonOf(
      status,
      changes.unqualified_reason,
      before.unqualified_reason,
      called.reason
    ),
    ...(status !== before.status && { qualified_at: status === 'qualified' ? now() : null })
  }
}

function refuseImpossible(from: Status, to: Status, field: string): void {
  if (from === 'converted')
    throw impossibleMove(
      field,
      'A converted lead stays converted, until DELETE /api/leads/{id}/conversion takes it back.',
      []
    )
  if (to === 'converted')
    throw impossibleMove(field, 'A lead is converted by POST /api/leads/{id}/conversion.', byHand)
}

/** Why nothing will come of a lead of this status. A form may send back the reason that was there together with another status. Errors: 422. */
function reasonOf(
  status: Status,
  given: string | null | undefined,
  before: string | null = null,
  field = names.reason
): string | null {
  const reason = given === undefined ? before : given
  if (status === 'unqualified') return reason
  if (reason !== null && reason !== before)
    throw ruleBroken(field, `What is ${status} has no reason to be unqualified.`)
  return null
}

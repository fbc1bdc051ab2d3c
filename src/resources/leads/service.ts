import type { Static } from '@sinclair/typebox'
import { collection, type RowOf, type Versions } from '../../kit/collection.ts'
import type { Context } from '../../kit/context.ts'
import { sql } from '../../kit/drizzle.ts'
import { impossibleMove, ruleBroken } from '../../kit/errors.ts'
import type { ListQuery } from '../../kit/list.ts'
import { assigned } from '../assignment_rules/service.ts'
import { campaignMembers } from '../campaign_members/table.ts'
import { movesOf } from '../moves/service.ts'
import { moves } from '../moves/table.ts'
import { keepingScore, scored } from '../scoring_models/service.ts'
import type { LeadChanges, NewLead, Qualification } from './schema.ts'
import { leads, statuses } from './table.ts'

type Lead = RowOf<typeof leads>
type Status = typeof statuses[number]

const { create: insert, update: change, ...rest } = keepingScore(collection('lead', leads, {
  entered_status: status => sql`exists (select from ${moves} where ${moves.organization_id} = ${leads.organization_id}
    and ${moves.subject_type} = 'lead' and ${moves.subject_id} = ${leads.id} and ${moves.to_stage} = ${status})`,
  campaign_id: campaign => sql`exists (select from ${campaignMembers} where ${campaignMembers.organization_id} = ${leads.organization_id}
    and ${campaignMembers.lead_id} = ${leads.id} and ${campaignMembers.campaign_id} = ${campaign} and ${campaignMembers.deleted_at} is null)`
}))
export const { list, stream, get, lock, find, where, createMany, updateMany, remove, restore, history, cacheKey } = rest

/** The statuses that a lead is given by hand; `converted` is what a conversion gives it. */
const byHand = statuses.filter(status => status !== 'converted')

/** Makes a lead, scored by the model and, if it names no user, assigned by the rules, which may ask for the score. Errors: 422 for a lead that would be converted already. */
export async function create (ctx: Context, input: Static<typeof NewLead>) {
  if (input.status === 'converted') throw ruleBroken('status', 'A lead is converted by POST /api/leads/{id}/conversion.')
  const given = { ...input, ...input.status === 'qualified' && { qualified_at: now() } }
  return await scored(ctx, given, async (ctx, input) => await assigned(ctx, 'leads', input, insert))
}

/** Changes a lead. Errors: 409 for a status it cannot come to. */
export async function update (ctx: Context, id: number, changes: Static<typeof LeadChanges>, versions?: Versions) {
  const { status } = changes
  if (status === undefined) return await change(ctx, id, changes, versions)
  return await ctx.transaction(async ctx => await change(ctx, id, { ...changes, ...moved(await lock(ctx, id, versions), status, 'status') }))
}

/** Says whether something may come of a lead. Errors: 409 for a converted one, 422 without a reason for `unqualified`, or with one else. */
export async function qualify (ctx: Context, id: number, { outcome = 'qualified', reason }: Static<typeof Qualification>, versions?: Versions) {
  if (outcome === 'unqualified' && reason === undefined) throw ruleBroken('reason', 'Say why nothing will come of it.')
  if (outcome === 'qualified' && reason !== undefined) throw ruleBroken('reason', 'A reason goes with `unqualified`.')
  return await ctx.transaction(async ctx => {
    const lead = await lock(ctx, id, versions)
    return await change(ctx, id, { status: outcome, ...moved(lead, outcome, 'outcome'), unqualified_reason: reason ?? null })
  })
}

/** Makes a lead, locked by the caller, a converted one; it gets this contact if it has none. */
export const convert = async (ctx: Context, { id, contact_id }: Lead, contact: number | null) =>
  await change(ctx, id, { status: 'converted', converted_at: now(), unqualified_reason: null, contact_id: contact_id ?? contact })

/** Takes a conversion back: the lead, locked by the caller, is again what it was `before`. */
export const unconvert = async (ctx: Context, id: number, before: Partial<Lead>) => await change(ctx, id, { ...before, converted_at: null })

/** The way of a lead through its statuses. Errors: 404. */
export async function movesOfLead (ctx: Context, id: number, query: ListQuery) {
  await get(ctx, id)
  return await movesOf(ctx, 'lead', id, query)
}

const now = () => new Date().toISOString()

/** What changes with the status of a lead. Errors: 409 at `field` where it cannot come to this one. */
function moved (lead: Lead, status: Status, field: string): Partial<Lead> {
  if (status === lead.status) return {}
  if (lead.status === 'converted') throw impossibleMove(field, 'A converted lead stays converted, until DELETE /api/leads/{id}/conversion takes it back.', [])
  if (status === 'converted') throw impossibleMove(field, 'A lead is converted by POST /api/leads/{id}/conversion.', byHand)
  return { qualified_at: status === 'qualified' ? now() : null, unqualified_reason: null }
}

import type { Static } from '@sinclair/typebox'
import { collection, type Versions } from '../../../core/records/repository.ts'
import type { Context } from '../../../core/access/context.ts'
import { query, run } from '../../../core/db/database.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { ruleBroken } from '../../../core/errors.ts'
import { enqueue, type Jobs } from '../../../core/jobs.ts'
import type { Filter } from '../../../core/records/list.ts'
import * as members from '../campaign-members/service.ts'
import { campaignMembers, statuses as memberStatuses } from '../campaign-members/table.ts'
import { contactLanguage } from '../../crm/contacts/schema.ts'
import * as contacts from '../../crm/contacts/service.ts'
import { leadLanguage } from '../../crm/leads/schema.ts'
import * as leads from '../../crm/leads/service.ts'
import * as opportunities from '../../sales/opportunities/service.ts'
import { opportunities as opportunityTable, statuses } from '../../sales/opportunities/table.ts'
import type { AddedMembers, CampaignChanges, NewCampaign } from './schema.ts'
import { campaigns } from './table.ts'

const { create: insert, update: change, ...rest } = collection('campaign', campaigns)
export const { list, stream, get, find, createMany, remove, restore, history, cacheKey } = rest

/** Makes a campaign. Errors: 422 when it ends before it begins. */
export const create = async (ctx: Context, input: Static<typeof NewCampaign>) =>
  await explained(insert(ctx, input))

/** Changes a campaign. Errors: as `create`. */
export const update = async (
  ctx: Context,
  id: number,
  changes: Static<typeof CampaignChanges>,
  versions?: Versions
) => await explained(change(ctx, id, changes, versions))

/** It is the table that compares the days, as a change may name only one of them; here is what it means. */
const explained = async <T>(work: Promise<T>): Promise<T> =>
  await work.catch((error: unknown) => {
    throw (error as { constraint_name?: string }).constraint_name === 'campaigns_end_date_check'
      ? ruleBroken('end_date', 'It ends before it begins.')
      : error
  })

const sources = {
  contacts: { list: contacts.list, language: contactLanguage, field: 'contact_id' },
  leads: { list: leads.list, language: leadLanguage, field: 'lead_id' }
} as const
const batch = 1000

/** Makes members of all who meet a filter: the first thousand at once, the others by a job. Errors: 404, 422 for what is no filter of theirs. */
export async function addByFilter(
  ctx: Context,
  campaign_id: number,
  asked: Static<typeof AddedMembers>
) {
  return await ctx.transaction(async ctx => {
    await get(ctx, campaign_id)
    const { added, rest } = await addMembers(ctx, {
      organization_id: ctx.organization_id,
      user_id: ctx.user_id,
      campaign_id,
      ...asked,
      after: 0
    })
    if (rest) await enqueue(ctx, 'add_members', rest)
    return { added, pending: rest !== undefined }
  })
}

/** Does a batch of the job: who is a member already is left out. Returns how many were added, and what is left to do if anything is. */
export async function addMembers(
  ctx: Context,
  job: Jobs['add_members']
): Promise<{ added: number; rest?: Jobs['add_members'] }> {
  const { campaign_id, resource, filter, after } = job
  if ((await find(ctx, [campaign_id])).length === 0) return { added: 0 } // it was deleted since
  const { list, language, field } = sources[resource]
  const { data, has_more } = await list(ctx, {
    filters: [...language.parse(filter, 'filter'), { field: 'id', operator: 'gt', value: after }],
    fields: ['id'],
    sort: [{ field: 'id', descending: false }],
    limit: batch
  })
  const added = await members.createMany(
    ctx,
    data.map(({ id }) => ({ campaign_id, [field]: id }))
  )
  return { added, ...(has_more && { rest: { ...job, after: data.at(-1)!.id } }) }
}

/** What a campaign brought, in numbers, each with the list that adds up to it. Errors: 404. */
export async function results(ctx: Context, id: number) {
  await get(ctx, id)
  const [people, sales] = await Promise.all([membersByStatus(ctx, id), salesByStatus(ctx, id)])
  const member = (chosen: readonly string[], filter: string) =>
    cell(sum(people, 'count', chosen), '/api/campaign-members', `campaign_id=${id}${filter}`)
  const sale = (measure: 'count' | 'amount', chosen: readonly string[], filter: string) =>
    cell(sum(sales, measure, chosen), '/api/opportunities', `campaign_id=${id}${filter}`)
  const all = member(memberStatuses, '')
  const responded = member(members.responses, `&status[in]=${members.responses.join()}`)
  return {
    members: all,
    by_status: Object.fromEntries(
      memberStatuses.map(status => [status, member([status], `&status=${status}`)])
    ),
    responded,
    response_rate:
      all.value === 0 ? null : Math.round((responded.value / all.value) * 10_000) / 10_000,
    opportunities: sale('count', statuses, ''),
    open: sale('count', ['open'], '&status=open'),
    open_amount: sale('amount', ['open'], '&status=open'),
    won: sale('count', ['won'], '&status=won'),
    won_amount: sale('amount', ['won'], '&status=won'),
    lost: sale('count', ['lost'], '&status=lost')
  }
}

interface Tally {
  status: string
  count: number
  amount: number
}
const of = (id: number): { filters: Filter[] } => ({
  filters: [{ field: 'campaign_id', operator: 'eq', value: id }]
})
const cell = (value: number, list: string, filter: string) => ({ value, list, filter })
const sum = (rows: Tally[], measure: 'count' | 'amount', chosen: readonly string[]) =>
  rows
    .filter(({ status }) => chosen.includes(status))
    .reduce((total, row) => total + row[measure], 0)

async function membersByStatus(ctx: Context, id: number): Promise<Tally[]> {
  const { where, values } = members.where(ctx, of(id))
  return await run(
    ctx.connection,
    query<Tally>(
      sql`select status, count(*) as count, 0 as amount from ${campaignMembers} where ${where} group by status`,
      false
    ),
    values
  )
}

async function salesByStatus(ctx: Context, id: number): Promise<Tally[]> {
  const { where, values } = opportunities.where(ctx, of(id))
  return await run(
    ctx.connection,
    query<Tally>(
      sql`select status, count(*) as count, coalesce(sum(amount), 0) as amount from ${opportunityTable} where ${where} group by status`,
      false
    ),
    values
  )
}

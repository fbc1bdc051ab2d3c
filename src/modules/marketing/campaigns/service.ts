import type { Static } from '@sinclair/typebox'
import { createHash } from 'node:crypto'
import type { Context } from '../../../core/access/context.ts'
import { assertMayChange } from '../../../core/access/risk.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { defined } from '../../../core/defined.ts'
import { ours, reached } from '../../../core/db/sql.ts'
import { forbidden } from '../../../core/errors.ts'
import { FilterLanguage } from '../../../core/records/filter-language.ts'
import { equal } from '../../../core/records/filter.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import { checkRules, concernsRules, newRecord } from '../../../core/records/rules.ts'
import { assertWritable, placesOf } from '../../../core/records/visibility.ts'
import { defineUserJob, type Batch } from '../../../core/user-jobs.ts'
import { contactResource } from '../../crm/contacts/resource.ts'
import { contactService } from '../../crm/contacts/service.ts'
import { leadResource } from '../../crm/leads/resource.ts'
import { leadService } from '../../crm/leads/service.ts'
import { statuses } from '../../sales/opportunities/table.ts'
import { opportunityService } from '../../sales/opportunities/service.ts'
import { campaignMemberResource } from '../campaign-members/resource.ts'
import { campaignMemberService, responses } from '../campaign-members/service.ts'
import { statuses as memberStatuses } from '../campaign-members/table.ts'
import { campaignResource } from './resource.ts'
import { campaignRules } from './rules.ts'
import { campaigns } from './table.ts'
import type { AddedMembers, CampaignChanges, NewCampaign, sources } from './schema.ts'

/**
 * Adds those of `resource` that match `filter` to a campaign, from the ID `after` on; `added`: how
 * many of those before it are new.
 */
export interface AddMembers {
  campaign_id: number
  resource: (typeof sources)[number]
  filter: string
  after: number
  added?: number
}
export const addMembers = defineUserJob<AddMembers>('add_members', {
  permission: 'campaign-members:create'
})

/** The same members are added by one job, however often a user requests them. */
const keyOf = ({ user_id }: Context, { campaign_id, resource, filter }: AddMembers) =>
  `${campaign_id}/${user_id}/${resource}/${createHash('sha256').update(filter).digest('hex')}`

const records = repository(campaignResource)
const batchSize = 1000

// stored filters have no virtual filters, which depend on the time and the caller
const members = {
  contacts: {
    list: contactService.list,
    language: new FilterLanguage({ ...contactResource, virtualFilters: {} }),
    field: 'contact_id'
  },
  leads: {
    list: leadService.list,
    language: new FilterLanguage({ ...leadResource, virtualFilters: {} }),
    field: 'lead_id'
  }
} as const

export const campaignService = {
  ...records,

  /** Creates a campaign. Errors: 422. */
  async create(ctx: Context, input: Static<typeof NewCampaign>) {
    const after = newRecord(campaignResource, input)
    checkRules(campaignRules, { before: undefined, after })
    return await records.create(ctx, input)
  },

  /** Changes a campaign. Errors: 404, 412, 422. */
  async update(
    ctx: Context,
    id: number,
    changes: Static<typeof CampaignChanges>,
    versions?: Versions
  ) {
    if (!concernsRules(campaignRules, changes))
      return await records.update(ctx, id, changes, versions)
    return await ctx.transaction(async ctx => {
      const before = await records.lock(ctx, id, versions)
      checkRules(campaignRules, { before, after: { ...before, ...defined(changes) } })
      return await records.update(ctx, id, changes)
    })
  },

  /**
   * Adds all records that match a filter as members: the first thousand immediately, the others by
   * the job `job_id`. Errors: 404, 422 for an unknown filter, 403.
   */
  async addByFilter(ctx: Context, campaign_id: number, input: Static<typeof AddedMembers>) {
    return await ctx.transaction(async ctx => {
      await records.get(ctx, campaign_id)
      if (!(await mayAddTo(ctx, campaign_id))) throw forbidden('campaign-members:create')
      const { field } = members[input.resource]
      assertWritable(ctx, campaignMemberResource, 'create', placesOf(['campaign_id', field]))
      const job = { campaign_id, ...input, after: 0 }
      const { done, rest, result } = await campaignService.addBatch(ctx, job)
      const key = keyOf(ctx, job)
      const job_id = rest && (await addMembers.start(ctx, rest, { key, done }))
      return { added: result.added, pending: rest !== undefined, job_id }
    })
  },

  /** Adds a batch of members; existing ones are skipped. `rest`: the job for the next batch. */
  async addBatch<Job extends AddMembers>(
    ctx: Context,
    job: Job
  ): Promise<Batch<Job> & { result: { added: number } }> {
    const { campaign_id, resource, filter, after, added: before = 0 } = job
    // deleted, or no longer in reach, in the meantime
    if (!(await mayAddTo(ctx, campaign_id))) return { done: 0, result: { added: before } }
    const { list, language, field } = members[resource]
    const { data, has_more } = await list(ctx, {
      filters: [
        ...language.parse(ctx, filter, 'filter'),
        { field: 'id', operator: 'gt', value: after }
      ],
      fields: ['id'],
      sort: [{ field: 'id', descending: false }],
      limit: batchSize
    })
    assertMayChange(ctx, data.length)
    const inputs = data.map(({ id }) => ({ campaign_id, [field]: id }))
    const added = before + (await campaignMemberService.createMany(ctx, inputs))
    const rest = { ...job, after: data.at(-1)?.id ?? after, added }
    return { done: data.length, result: { added }, ...(has_more && { rest }) }
  },

  /** The results of a campaign, each number with its list. Errors: 404. */
  async results(ctx: Context, id: number) {
    await records.get(ctx, id)
    const [people, sales] = await Promise.all([
      countByStatus(ctx, campaignMemberService.matching(equal({ campaign_id: id }))),
      countByStatus(
        ctx,
        opportunityService.matching(equal({ campaign_id: id })),
        sql`coalesce(sum(amount), 0)`
      )
    ])
    const member = (chosen: readonly string[], filter: string) =>
      cellOf('/api/campaign-members', id, filter, sum(people, 'count', chosen))
    const sale = (measure: 'count' | 'amount', chosen: readonly string[], filter: string) =>
      cellOf('/api/opportunities', id, filter, sum(sales, measure, chosen))
    const all = member(memberStatuses, '')
    const responded = member(responses, `&status[in]=${responses.join()}`)
    const rate = Math.round((responded.value / all.value) * 10_000) / 10_000
    return {
      members: all,
      by_status: Object.fromEntries(
        memberStatuses.map(status => [status, member([status], `&status=${status}`)])
      ),
      responded,
      response_rate: all.value === 0 ? null : rate,
      opportunities: sale('count', statuses, ''),
      open: sale('count', ['open'], '&status=open'),
      open_amount: sale('amount', ['open'], '&status=open'),
      won: sale('count', ['won'], '&status=won'),
      won_amount: sale('amount', ['won'], '&status=won'),
      lost: sale('count', ['lost'], '&status=lost')
    }
  }
}

/** Whether there is a campaign whose members the caller may add. */
async function mayAddTo(ctx: Context, id: number): Promise<boolean> {
  const [campaign] = await ctx.read(sql`select from ${ours(campaigns)}
    where id = ${id} and ${reached('create', 'campaign_members', 'campaigns')}`)
  return campaign !== undefined
}

interface Tally {
  status: string
  count: number
  amount: number
}

const countByStatus = async (
  ctx: Context,
  rows: ReturnType<typeof sql>,
  amount = sql`0`
): Promise<Tally[]> =>
  await ctx.aggregate(sql`select status, count(*) as count, ${amount} as amount
    from ${rows} group by status`)

const sum = (tallies: Tally[], measure: 'count' | 'amount', chosen: readonly string[]): number =>
  tallies
    .filter(({ status }) => chosen.includes(status))
    .reduce((total, tally) => total + tally[measure], 0)

/** A number, and the list that it adds up. */
const cellOf = (list: string, id: number, filter: string, value: number) => ({
  value,
  list,
  filter: `campaign_id=${id}${filter}`
})

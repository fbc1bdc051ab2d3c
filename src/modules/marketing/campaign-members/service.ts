import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { ruleBroken } from '../../../core/errors.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import { campaignMemberResource } from './resource.ts'
import type { CampaignMemberChanges, NewCampaignMember } from './schema.ts'

const records = repository(campaignMemberResource)

/** The statuses of members who responded. */
export const responses: readonly string[] = ['responded', 'declined']

export const campaignMemberService = {
  ...records,

  /** Creates a member. Errors: 422 unless it is a contact or a lead, 409 for an existing one. */
  async create(ctx: Context, input: Static<typeof NewCampaignMember>) {
    const { contact_id = null, lead_id = null, status } = input
    if ((contact_id === null) === (lead_id === null)) {
      const field = contact_id === null ? 'contact_id' : 'lead_id'
      throw ruleBroken(field, 'A member must be either a contact or a lead.', {
        rule: 'either',
        fields: ['contact_id', 'lead_id']
      })
    }
    return await records.create(ctx, { ...input, responded_at: responseTime(status) })
  },

  /** Changes the status of a member, and keeps the time of the first response. Errors: 404, 412. */
  async update(
    ctx: Context,
    id: number,
    { status }: Static<typeof CampaignMemberChanges>,
    versions?: Versions
  ) {
    return await ctx.transaction(async ctx => {
      const { responded_at } = await records.lock(ctx, id, versions)
      const changes = { status, responded_at: responseTime(status, responded_at) }
      return await records.update(ctx, id, changes)
    })
  }
}

function responseTime(status: string | undefined, before: string | null = null): string | null {
  if (status === undefined || !responses.includes(status)) return null
  return before ?? new Date().toISOString()
}

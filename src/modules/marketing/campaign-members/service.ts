import type { Static } from '@sinclair/typebox'
import { collection, type Versions } from '../../../core/records/repository.ts'
import type { Context } from '../../../core/access/context.ts'
import { ruleBroken } from '../../../core/errors.ts'
import type { CampaignMemberChanges, NewCampaignMember } from './schema.ts'
import { campaignMembers } from './table.ts'

const {
  create: insert,
  update: change,
  lock,
  ...rest
} = collection('campaign_member', campaignMembers)
export const { list, stream, get, find, createMany, remove, restore, history, cacheKey, where } =
  rest

/** The statuses of those who answered. */
export const responses: readonly string[] = ['responded', 'declined']

/** Makes a member. Errors: 422 unless it is either a contact or a lead, 409 for one that is a member already. */
export async function create(ctx: Context, input: Static<typeof NewCampaignMember>) {
  const { contact_id = null, lead_id = null, status } = input
  if ((contact_id === null) === (lead_id === null))
    throw ruleBroken(
      contact_id === null ? 'contact_id' : 'lead_id',
      'A member is either a contact or a lead.'
    )
  return await insert(ctx, { ...input, responded_at: respondedAt(status) })
}

/** Changes the status of a member, and keeps when it first responded. Errors: 404, 412. */
export async function update(
  ctx: Context,
  id: number,
  { status }: Static<typeof CampaignMemberChanges>,
  versions?: Versions
) {
  return await ctx.transaction(async ctx => {
    const member = await lock(ctx, id, versions)
    return await change(ctx, id, { status, responded_at: respondedAt(status, member.responded_at) })
  })
}

const respondedAt = (status: string | undefined, before: string | null = null) =>
  status !== undefined && responses.includes(status) ? (before ?? new Date().toISOString()) : null

import { collection } from '../../../core/records/repository.ts'
import type { Context } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import type { ListQuery } from '../../../core/records/list.ts'
import { newestOf, since } from '../activities/service.ts'
import { activityLinks } from '../activities/table.ts'
import { campaignMembers } from '../../marketing/campaign-members/table.ts'
import { contacts } from './table.ts'

export const {
  list,
  stream,
  get,
  find,
  lock,
  create,
  createMany,
  update,
  remove,
  restore,
  history,
  cacheKey
} = collection('contact', contacts, {
  campaign_id:
    campaign => sql`exists (select from ${campaignMembers} where ${campaignMembers.organization_id} = ${contacts.organization_id}
    and ${campaignMembers.contact_id} = ${contacts.id} and ${campaignMembers.campaign_id} = ${campaign} and ${campaignMembers.deleted_at} is null)`,
  active_since: text => sql`exists (select from ${activityLinks}
    where ${activityLinks.organization_id} = ${contacts.organization_id} and ${activityLinks.contact_id} = ${contacts.id} and ${activityLinks.occurred_at} >= ${since(text)})`
})

/** The newest activities of each contact, 20 at the most; of a list of contacts that were active since some time, those since then. */
export async function recentActivities(ctx: Context, ids: number[], { filters = [] }: ListQuery) {
  const since = filters.find(({ field }) => field === 'active_since')?.value as string | undefined
  const found = await newestOf(ctx, 'contact', ids, {
    limit: 20,
    ...(since !== undefined && { since })
  })
  // a page of 200 contacts may have 4,000 of them: what each says at length is left to its own page
  return new Map(
    [...found].map(([id, activities]) => [
      id,
      activities.map(({ description: _, ...summary }) => summary)
    ])
  )
}

import type { Context } from '../../../core/access/context.ts'
import { defined } from '../../../core/defined.ts'
import type { ListQuery } from '../../../core/records/list.ts'
import { repository } from '../../../core/records/repository.ts'
import { activityService } from '../activities/service.ts'
import { contactResource } from './resource.ts'

const records = repository(contactResource)
const maxActivities = 20

export const contactService = {
  ...records,

  /**
   * The newest activities of each contact, 20 at most. If the contacts are filtered by
   * `active_since`, only those since then. Descriptions are left out: a page of contacts may have
   * thousands of activities.
   */
  async recentActivities(ctx: Context, ids: number[], { filters = [] }: ListQuery) {
    const activeSince = filters.find(({ field }) => field === 'active_since')
    const since = activeSince?.value as string | undefined
    const query = { limit: maxActivities, ...defined({ since }) }
    const byContact = await activityService.newestOf(ctx, 'contact', ids, query)
    return new Map(
      [...byContact].map(([id, activities]) => [
        id,
        activities.map(({ description: _, ...summary }) => summary)
      ])
    )
  }
}

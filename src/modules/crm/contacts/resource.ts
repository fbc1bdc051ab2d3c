import { sql } from '../../../core/db/drizzle.ts'
import { ours, reachedBy } from '../../../core/db/sql.ts'
import { Id, Instant } from '../../../core/http/schema.ts'
import { mine } from '../../../core/records/filter.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { campaignMembers } from '../../marketing/campaign-members/table.ts'
import { since } from '../activities/since.ts'
import { activities, activityLinks } from '../activities/table.ts'
import { tags } from '../tags/table.ts'
import { Contact, ContactChanges, NewContact } from './schema.ts'
import { contacts, filterable, searchable } from './table.ts'

export const contactResource = defineResource({
  name: 'contact',
  plural: 'contacts',
  description: 'People that the organization deals with.',
  table: contacts,
  schema: Contact,
  create: NewContact,
  update: ContactChanges,
  filters: ['id', ...filterable, 'tags'],
  sorts: ['id', 'first_name', 'last_name', 'email', 'company', 'created_at', 'updated_at'],
  search: searchable,
  identifiers: ['email'],
  virtualFilters: {
    campaign_id: {
      schema: Id({ description: 'Member of this campaign.' }),
      condition: campaign => sql`exists (select from ${ours(campaignMembers)}
        where ${campaignMembers.contact_id} = ${contacts.id}
          and ${campaignMembers.campaign_id} = ${campaign})`
    },
    active_since: {
      schema: Instant({
        format: 'date-time-or-duration',
        examples: ['30d'],
        description:
          'Has activities since this date, since this date and time, or within this duration ' +
          'before now (`12h`, `30d` or `2w`). With `include=activities`, only those are ' +
          'returned.'
      }),
      condition: text => sql`exists (select from ${ours(activityLinks)}
        where ${activityLinks.contact_id} = ${contacts.id}
          and ${activityLinks.occurred_at} >= ${since(text)}
          and ${reachedBy('read', activities, activityLinks.activity_id)})`
    },
    mine: mine(contacts.assigned_to)
  },
  include: {
    account: 'account_id',
    assigned_to: 'assigned_to',
    tags: { ids: 'tags', of: tags }
  },
  title: sql`${contacts.first_name} || ' ' || ${contacts.last_name}`
})

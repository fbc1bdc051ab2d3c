import { Type } from '@sinclair/typebox'
import { sql } from '../../../core/db/drizzle.ts'
import { ours } from '../../../core/db/sql.ts'
import { Id } from '../../../core/http/schema.ts'
import { mine, type VirtualFilter } from '../../../core/records/filter.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { tags } from '../tags/table.ts'
import { Activity, ActivityChanges, NewActivity } from './schema.ts'
import { activities, activityLinks, filterable, linkable, searchable, type Link } from './table.ts'

/** The column of links to one type of record. */
export const linkColumn = (type: Link['type']) => activityLinks[`${type}_id`]

const linkedTo = (type: Link['type']): VirtualFilter => ({
  schema: Id({
    description:
      type === 'lead'
        ? 'Linked to this lead.'
        : `Linked to this ${type}, or to a lead that was converted into it.`
  }),
  condition: id => sql`exists (select from ${ours(activityLinks)}
    where ${activityLinks.activity_id} = ${activities.id} and ${linkColumn(type)} = ${id})`
})

export const activityResource = defineResource({
  name: 'activity',
  plural: 'activities',
  description: 'Calls, emails, meetings, tasks and notes.',
  table: activities,
  linkTables: [activityLinks],
  schema: Activity,
  create: NewActivity,
  update: ActivityChanges,
  filters: ['id', ...filterable, 'tags'],
  sorts: ['id', 'status', 'priority', 'due_at', 'completed_at', 'created_at', 'updated_at'],
  search: searchable,
  virtualFilters: {
    ...Object.fromEntries(linkable.map(type => [`${type}_id`, linkedTo(type)])),
    overdue: {
      schema: Type.Boolean({ description: 'Planned or in progress, with `due_at` in the past.' }),
      condition: () => sql`(${activities.due_at} is not null and ${activities.due_at} < now()
        and ${activities.status} in ('planned', 'in_progress'))`
    },
    mine: mine(activities.assigned_to)
  },
  include: {
    assigned_to: 'assigned_to',
    tags: { ids: 'tags', of: tags },
    links: { links: 'links' }
  },
  title: sql`${activities.subject}`,
  // timelines are made of them
  essential: ['type', 'status', 'completed_at', 'links']
})

import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Context } from '../../../core/access/context.ts'
import { sentenceCase, words } from '../../../core/names.ts'
import { eventsBefore } from '../../../core/records/events.ts'
import { columnsRead } from '../../../core/records/filter-language.ts'
import { equal } from '../../../core/records/filter.ts'
import type { Position } from '../../../core/records/cursor.ts'
import type { Place } from '../../../core/records/merged-page.ts'
import { repository } from '../../../core/records/repository.ts'
import {
  allResources,
  referencesOf,
  referencesTo,
  type Resource
} from '../../../core/records/resource.ts'
import { shownEvent, shownOf } from '../../../core/records/visibility.ts'
import { activityResource } from '../activities/resource.ts'
import { activityService, occurredAt } from '../activities/service.ts'
import type { Link } from '../activities/table.ts'
import { changesIn, titleOfChange } from './changes.ts'
import type { NameOf } from './names.ts'
import type { Entry, Kind } from './schema.ts'

export interface Row extends Place {
  entry: (name: NameOf) => Entry
}

/** What happened to a record in one respect, newest first. */
export interface Source {
  kind: Kind
  name: string
  /** The permission that the caller needs to see its entries, and the columns they tell about. */
  permission: string
  reads: PgColumn[]
  /** At most `limit` rows in a fixed order, from the place `from` on. */
  read: (ctx: Context, id: number, limit: number, from?: Place) => Promise<Row[]>
}

const personOf = (name: NameOf, id: number | null) =>
  id === null ? null : { id, username: name('user', id) }

/** Events of one record are in the order of their IDs, which is that of their commits. */
const changesOf = (resource: Resource): Source => ({
  kind: 'change',
  name: 'changes',
  permission: `${resource.path}:read`,
  reads: [],
  async read(ctx, id, limit, from) {
    const events = await eventsBefore(ctx, resource.name, id, limit, from && from.id + 1)
    const shown = events.map(event => shownEvent(ctx, resource, event))
    return shown.map(event => ({
      at: event.created_at,
      id: event.id,
      entry: name => {
        const changes = changesIn(event, name)
        return {
          id: `change ${event.id}`,
          at: event.created_at,
          kind: 'change',
          title: titleOfChange(event, changes),
          actor: personOf(name, event.actor_id),
          changes,
          operation_id: event.operation_id
        }
      }
    }))
  }
})

type Activity =
  Awaited<ReturnType<typeof activityService.newestOf>> extends Map<number, (infer A)[]> ? A : never

function titleOfActivity({ type, status, subject }: Activity): string {
  const isPlainNote = type === 'note' && status === 'completed'
  return `${sentenceCase(type)}${isPlainNote ? '' : ` ${words(status)}`}: ${subject}`
}

const activitiesOf = ({ name: type }: Resource): Source => ({
  kind: 'activity',
  name: 'activities',
  permission: `${activityResource.path}:read`,
  reads: [],
  async read(ctx, id, limit, from) {
    const query = from ? { limit, before: [from.at, from.id + 1] as [string, number] } : { limit }
    const found = await activityService.newestOf(ctx, type as Link['type'], [id], query)
    const shown = (found.get(id) ?? []).map(activity => shownOf(ctx, activityResource, activity))
    return shown.map(activity => ({
      at: occurredAt(activity),
      id: activity.id,
      entry: name => ({
        id: `activity ${activity.id}`,
        at: occurredAt(activity),
        kind: 'activity',
        title: titleOfActivity(activity),
        actor: personOf(name, activity.created_by),
        activity,
        assigned_to: personOf(name, activity.assigned_to ?? null),
        links: activity.links.map(({ type, id }) => ({ type, id, name: name(type, id) }))
      })
    }))
  }
})

interface Linked {
  id: number
  created_at: string
  created_by: number | null
}

/**
 * Records of `from` whose filter `field` names ours. A membership is shown as what it is a
 * membership in.
 */
function linksFrom(from: Resource, field: string, to: Resource): Source {
  const membership = referencesOf(from).find(({ column }) => column.name === from.membershipIn)
  const shown = membership ? { type: membership.to, field: membership.column.name } : undefined
  const { name: type, label } = shown?.type ?? from
  const title = titleOfLink(from === to, shown !== undefined, label)
  return {
    kind: 'link',
    name: `${from.name}.${field}`,
    permission: `${from.path}:read`,
    reads: columnsRead(from, field),
    async read(ctx, id, limit, place) {
      const query = {
        filters: equal({ [field]: id }),
        sort: [{ field: 'created_at', descending: true }],
        fields: ['id', shown?.field ?? 'id', 'created_at', 'created_by']
      }
      const position: Position | undefined = place && [place.at, place.id + 1]
      const rows = await repository(from).after(ctx, query, limit, position)
      return (rows as unknown as (Linked & Record<string, number>)[]).map(row => ({
        at: row.created_at,
        id: row.id,
        entry: name => {
          const linked = row[shown?.field ?? 'id']!
          const link = { type, id: linked, name: name(type, linked) }
          return {
            id: `${type} ${linked}`,
            at: row.created_at,
            kind: 'link',
            title: `${title}: ${link.name}`,
            actor: personOf(name, row.created_by),
            links: [link]
          }
        }
      }))
    }
  }
}

function titleOfLink(isSelf: boolean, isMembership: boolean, label: string): string {
  if (isMembership) return `Added to ${label}`
  return isSelf ? `Child ${label} added` : `${sentenceCase(label)} added`
}

/** The foreign keys and virtual filters by which records of other resources point at ours. */
function linksTo(to: Resource): Source[] {
  const byReference = referencesTo(to)
    .filter(({ from, table }) => table === from.table)
    .map(({ from, column }) => ({ from, field: column.name }))
  const byFilter = allResources()
    .filter(from => `${to.name}_id` in (from.virtualFilters ?? {}))
    .map(from => ({ from, field: `${to.name}_id` }))
  return [...byReference, ...byFilter]
    .filter(({ from }) => from.schema !== undefined && from.name !== activityResource.name)
    .map(({ from, field }) => linksFrom(from, field, to))
}

/** The types of the records that a timeline can link to. */
export function linkedTypes(subjects: readonly Resource[]): string[] {
  const linking = subjects.flatMap(subject => [
    subject,
    ...referencesTo(subject)
      .map(({ from }) => from)
      .filter(from => from.schema !== undefined && from.name !== activityResource.name)
      .map(from => {
        const membership = referencesOf(from).find(
          ({ column }) => column.name === from.membershipIn
        )
        return membership?.to ?? from
      })
  ])
  return [...new Set(linking.map(({ name }) => name))]
}

/** All sources of the timeline of a resource. */
export const sourcesOf = (resource: Resource): Source[] => [
  changesOf(resource),
  activitiesOf(resource),
  ...linksTo(resource)
]

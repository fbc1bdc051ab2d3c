import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { eventsBefore } from '../../../core/records/events.ts'
import { lists, type ListQuery, type Page } from '../../../core/records/list.ts'
import { capital } from '../../../core/http/responses.ts'
import * as accounts from '../accounts/service.ts'
import { accounts as accountsTable } from '../accounts/table.ts'
import { newestOf, occurredAt } from '../activities/service.ts'
import type { Link } from '../activities/table.ts'
import { campaignMembers } from '../../marketing/campaign-members/table.ts'
import * as contacts from '../contacts/service.ts'
import { contacts as contactsTable } from '../contacts/table.ts'
import * as leads from '../leads/service.ts'
import { leads as leadsTable } from '../leads/table.ts'
import * as opportunities from '../../sales/opportunities/service.ts'
import { changesIn, titleOfChange } from './changes.ts'
import { withNames, type NameOf } from './names.ts'
import { kinds, type linked, type TimelineEntry } from './schema.ts'

type Entry = Static<typeof TimelineEntry>
type Subject = Link['type']
type Linked = (typeof linked)[number]
/** The place of a row in its source. */
interface Place {
  at: string
  id: number
}
interface Row extends Place {
  entry: (name: NameOf) => Entry
}
/** What happened to the record `id` in one respect: at most `limit` rows in a fixed order, newest first, from the place `from` on. */
type Source = (ctx: Context, id: number, limit: number, from?: Place) => Promise<Row[]>

const person = (name: NameOf, id: number | null) =>
  id === null ? null : { id, username: name('user', id) }

const activitiesOf =
  (type: Subject): Source =>
  async (ctx, id, limit, from) => {
    const found = await newestOf(ctx, type, [id], {
      limit,
      ...(from && { before: [from.at, from.id + 1] })
    })
    return (found.get(id) ?? []).map(activity => ({
      at: occurredAt(activity),
      id: activity.id,
      entry: name => ({
        id: `activity ${activity.id}`,
        at: occurredAt(activity),
        kind: 'activity',
        title: titleOf(activity),
        actor: person(name, activity.created_by),
        activity,
        assigned_to: person(name, activity.assigned_to),
        links: activity.links.map(({ type, id }) => ({ type, id, name: name(type, id) }))
      })
    }))
  }

const titleOf = ({ type, status, subject }: { type: string; status: string; subject: string }) =>
  `${capital(type)}${type === 'note' && status === 'completed' ? '' : ` ${status.replace('_', ' ')}`}: ${subject}`

/** Changes are in the order of the log, which of one record is that of their commits. */
const changesOf =
  (type: Subject): Source =>
  async (ctx, id, limit, from) =>
    (await eventsBefore(ctx, type, id, limit, from && from.id + 1)).map(event => ({
      at: event.created_at,
      id: event.id,
      entry: name => {
        const changes = changesIn(event, name)
        return {
          id: `change ${event.id}`,
          at: event.created_at,
          kind: 'change',
          title: titleOfChange(event, changes),
          actor: person(name, event.actor_id),
          changes
        }
      }
    }))

interface Linking {
  id: number
  created_at: string
  created_by: number | null
  campaign_id?: number
}
interface Pointing {
  after: (
    ctx: Context,
    query: ListQuery,
    limit: number,
    from?: [string, number]
  ) => Promise<Linking[]>
}

/** Those of a list whose filter `by` names our record, each as the record of `type` that its field `shown` names. */
const linksOf =
  (
    type: Linked,
    { after }: Pointing,
    by: string,
    told: string,
    shown: 'id' | 'campaign_id' = 'id'
  ): Source =>
  async (ctx, id, limit, from) => {
    const rows = await after(
      ctx,
      {
        filters: [{ field: by, operator: 'eq', value: id }],
        sort: [{ field: 'created_at', descending: true }],
        fields: ['id', shown, 'created_at', 'created_by']
      },
      limit,
      from && [from.at, from.id + 1]
    )
    return rows.map(row => ({
      at: row.created_at,
      id: row.id,
      entry: name => {
        const link = { type, id: row[shown]!, name: name(type, row[shown]!) }
        return {
          id: `${type} ${link.id}`,
          at: row.created_at,
          kind: 'link',
          title: `${told}: ${link.name}`,
          actor: person(name, row.created_by),
          links: [link]
        }
      }
    }))
  }

/** What is told of a record: who says whether it is there, and the sources of each kind of entry. */
const subject = (
  type: Subject,
  get: (ctx: Context, id: number) => Promise<unknown>,
  ...link: Source[]
) => ({ get, sources: { change: [changesOf(type)], activity: [activitiesOf(type)], link } })

const members = lists<Linking>('campaign_member', campaignMembers)
const subjects = {
  contact: subject(
    'contact',
    contacts.get,
    linksOf('lead', lists<Linking>('lead', leadsTable), 'contact_id', 'Lead added'),
    linksOf('opportunity', opportunities, 'contact_id', 'Opportunity added'),
    linksOf('campaign', members, 'contact_id', 'Added to the campaign', 'campaign_id')
  ),
  lead: subject(
    'lead',
    leads.get,
    linksOf('opportunity', opportunities, 'lead_id', 'Opportunity added'),
    linksOf('campaign', members, 'lead_id', 'Added to the campaign', 'campaign_id')
  ),
  account: subject(
    'account',
    accounts.get,
    linksOf('contact', lists<Linking>('contact', contactsTable), 'account_id', 'Contact added'),
    linksOf('opportunity', opportunities, 'account_id', 'Opportunity added'),
    linksOf(
      'account',
      lists<Linking>('account', accountsTable),
      'parent_account_id',
      'Account below it added'
    )
  ),
  opportunity: subject('opportunity', opportunities.get)
}

interface Asked extends Pick<ListQuery, 'limit' | 'cursor'> {
  kind?: string
}

/**
 * A page of what happened to a record, newest first: all of it, or the kinds named, separated by commas. Each source is read a little further
 * than the page can take of it, and the cursor says where each goes on: whatever is added meanwhile, nothing comes twice and nothing is left out.
 * Errors: 404, 400 for a cursor of another list.
 */
export async function timelineOf(
  ctx: Context,
  type: Subject,
  id: number,
  { limit = 50, cursor, kind }: Asked
): Promise<Page<Entry>> {
  const wanted = kind === undefined ? kinds : kinds.filter(one => kind.split(',').includes(one))
  const { get, sources } = subjects[type]
  const self = JSON.stringify([ctx.organization_id, 'timeline', type, id, wanted])
  const marks = cursor === undefined ? undefined : ctx.services.cursors.open(cursor, self)
  const [, ...runs] = await Promise.all([
    get(ctx, id),
    ...wanted
      .flatMap(kind => sources[kind])
      .map(async (read, i) => {
        if (marks === undefined) return await read(ctx, id, limit + 1)
        const [at, from] = marks.slice(2 * i) as [string | null, number]
        return at === null ? [] : await read(ctx, id, limit + 1, { at, id: from })
      })
  ])
  const { taken, heads } = merged(runs, limit)
  const has_more = heads.some(head => head !== undefined)
  return {
    data: await withNames(ctx, name => taken.map(({ entry }) => entry(name))),
    has_more,
    next_cursor: has_more
      ? ctx.services.cursors.seal(
          heads.flatMap(head => (head ? [head.at, head.id] : [null, null])),
          self
        )
      : null
  }
}

/** The newest `limit` rows of all runs, each run in its own order; and the row at which each run goes on. */
function merged(runs: Row[][], limit: number): { taken: Row[]; heads: (Row | undefined)[] } {
  const next = runs.map(() => 0)
  const head = (i: number) => runs[i]![next[i]!]
  const taken: Row[] = []
  while (taken.length < limit) {
    const newest = next
      .keys()
      .filter(i => head(i))
      .reduce((best, i) => (best < 0 || head(i)!.at > head(best)!.at ? i : best), -1)
    if (newest < 0) break
    taken.push(head(newest)!)
    next[newest]!++
  }
  return { taken, heads: runs.map((_, i) => head(i)) }
}

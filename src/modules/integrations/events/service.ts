import type { Static } from '@sinclair/typebox'
import { LRUCache } from 'lru-cache'
import type { Context } from '../../../core/access/context.ts'
import { invalidParameter, Problem } from '../../../core/errors.ts'
import {
  cursorOf,
  eventsAfter,
  narrowOf,
  resourcesOf,
  type FeedEvent,
  type FeedPart,
  type FilterMoment,
  type Place,
  type Selection
} from '../../../core/records/feed.ts'
import { eventKinds } from '../../../core/records/events.ts'
import { FilterLanguage } from '../../../core/records/filter-language.ts'
import { namesOf } from '../../../core/records/names.ts'
import { allResources, resourceNamed, type Resource } from '../../../core/records/resource.ts'
import { shownEvent } from '../../../core/records/visibility.ts'
import type { FeedEvent as Schema } from './schema.ts'

/** An event as callers get it. */
export type Entry = Static<typeof Schema>

/** Which events someone wants, as it is requested: see the schema of the query. */
export interface Wanted {
  types?: string
  filter?: string
  filter_on?: FilterMoment
}

/** What is read: `previous` is the cursor that the caller has. */
export interface Reading {
  after: Place
  previous: string
  selection: Selection
  limit: number
}

/** Events that the caller may see, and the place up to which there are no others. */
export interface Part {
  entries: Entry[]
  end: Place
  hasMore: boolean
}

export const feedService = {
  /**
   * What is to be read for a caller who wants these events. Errors: 400 for a type or filter that
   * does not exist; 403 for one that the caller may not read.
   */
  selectionOf(ctx: Context, { types, filter, filter_on: on = 'change' }: Wanted): Selection {
    const selection = types === undefined ? allReadable(ctx) : selectionIn(ctx, types)
    if (filter === undefined) return selection
    const resource = onlyResourceOf(selection)
    return { ...selection, filter: { resource, filters: filtersIn(ctx, resource, filter), on } }
  },

  /** The events after a place that the caller may see now. Errors: 410; as `Context.rows`. */
  async read(ctx: Context, { after, previous, selection, limit }: Reading): Promise<Part> {
    return await shownTo(ctx, previous, await eventsAfter(ctx, after, selection, limit))
  },

  /**
   * The same for one of many who read at the end of the feed: those who read the same, since the
   * same notification of the sequencer (`version`), share a query. Errors: as `read`.
   */
  async readShared(ctx: Context, reading: Reading, version: number): Promise<Part> {
    const { after, previous, selection, limit } = reading
    const { organization_id, user_id, principal } = ctx
    const reach = narrowOf(ctx, selection).length > 0 && [user_id, principal.access.fingerprint]
    const wanted = [after, limit, ...describe(selection), reach]
    const key = JSON.stringify([organization_id, version, ...wanted])
    const known = shared.get(key)
    const part = known ?? eventsAfter(ctx, after, selection, limit)
    if (!known) {
      shared.set(key, part)
      part.catch(() => shared.delete(key))
    }
    return await shownTo(ctx, previous, await part)
  }
}

const shared = new LRUCache<string, Promise<FeedPart>>({ max: 20, ttl: 5_000 })

const describe = ({ subjects, types, filter }: Selection) => [
  subjects,
  types,
  filter && [filter.resource.name, filter.filters, filter.on]
]

/**
 * The resources with events. What has no schema is a part of records of others, such as a share:
 * it belongs to nobody, so that nothing tells who may read it.
 */
export const followable = (): Resource[] =>
  allResources().filter(({ schema }) => schema !== undefined)

const allReadable = (ctx: Context): Selection => ({
  subjects: followable()
    .filter(({ path }) => ctx.can(`${path}:read`))
    .map(({ name }) => name),
  types: []
})

/** `contact.*,lead.created`: events about any contact, and creations of leads. */
function selectionIn(ctx: Context, text: string): Selection {
  const selection: Selection = { subjects: [], types: [] }
  for (const type of text.split(',')) {
    const [subject = '', kind] = type.split('.')
    const resource = followable().find(({ name }) => name === subject)
    if (!resource || (kind !== '*' && !kinds.has(kind)))
      throw invalidParameter('types', `There is no type ${type}: see GET /api/event-types.`)
    ctx.require(`${resource.path}:read`)
    if (kind === '*') selection.subjects.push(subject)
    else selection.types.push(type)
  }
  return selection
}

/** Errors: 400 unless all events are about records of one resource. */
function onlyResourceOf(selection: Selection): Resource {
  const [resource, ...others] = resourcesOf(selection)
  if (!resource || others.length > 0)
    throw invalidParameter(
      'filter',
      'A filter requires `types` of one kind of record, such as contact.*.'
    )
  return resource
}

const kinds: ReadonlySet<string | undefined> = new Set(eventKinds)

const languages = new Map<Resource, FilterLanguage>()

/** Filters by fields of a record. Errors: 400. */
function filtersIn(ctx: Context, resource: Resource, text: string) {
  const { table, schema, filters = [] } = resource
  if (!schema)
    throw invalidParameter('filter', `Events of ${resource.pluralLabel} cannot be filtered.`)
  const language = languages.get(resource) ?? new FilterLanguage({ table, schema, filters })
  languages.set(resource, language)
  try {
    return language.parse(ctx, text, '/filter')
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    throw invalidParameter('filter', error.detail, error.extra.errors?.[0]?.params)
  }
}

/** Events without the fields that the caller does not see, each with the cursor before it. */
async function shownTo(ctx: Context, first: string, { events, ...part }: FeedPart): Promise<Part> {
  const actors = await actorsOf(ctx, events)
  let previous = first
  const entries = events.map(event => {
    const shown = shownEvent(ctx, resourceNamed(event.subject_type), event)
    const entry = entryOf(shown, previous, actors)
    previous = entry.cursor
    return entry
  })
  return { entries, ...part }
}

async function actorsOf(ctx: Context, events: FeedEvent[]): Promise<Map<number, string>> {
  const ids = new Set(events.flatMap(({ actor_id }) => actor_id ?? []))
  if (ids.size === 0) return new Map()
  const named = await namesOf(ctx, 'user', [...ids])
  return new Map(named.map(({ id, name }) => [id, name]))
}

function entryOf(event: FeedEvent, previous: string, actors: Map<number, string>): Entry {
  const { place, type, subject_type, subject_id, name, before, after, actor_id } = event
  const { id, changed, request_id, operation_id, created_at: at } = event
  return {
    cursor: cursorOf(place),
    previous,
    id,
    type,
    subject: { type: subject_type, id: subject_id, name },
    version: ((after ?? before)?.version as number | undefined) ?? null,
    changed,
    before,
    after,
    actor: actor_id === null ? null : { id: actor_id, name: actors.get(actor_id) ?? null },
    credential: credentialOf(event),
    request_id,
    operation_id,
    at
  }
}

function credentialOf({ api_token_id, session_id }: FeedEvent): Entry['credential'] {
  if (api_token_id !== null) return { type: 'api_token', id: api_token_id }
  return session_id === null ? null : { type: 'session', id: session_id }
}

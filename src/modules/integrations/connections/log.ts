import type { Static } from '@sinclair/typebox'
import type { SQL } from 'drizzle-orm'
import type { Context } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { mergedPage, type Place, type Read } from '../../../core/records/merged-page.ts'
import type { Page } from '../../../core/records/list.ts'
import type { RowOf } from '../../../core/records/resource.ts'
import {
  deliveriesTo,
  eventsOfToken,
  sent,
  type LoggedDelivery,
  type LoggedEvent
} from './queries.ts'
import type { integrationResource } from './resource.ts'
import { logKinds, type LogEntry, type LogQuery } from './schema.ts'

type Integration = RowOf<typeof integrationResource>
type Query = Static<typeof LogQuery>
type Entry = Static<typeof LogEntry>
type Status = Entry['status']
type Row = Place & { entry: Entry }

/** What an event is that says that something was refused. */
const refusal = 'permission.denied'

/**
 * What the API token of an integration did, and what its webhooks were sent, newest first: as far
 * as the caller may read the audit log and deliveries. Errors: 400 for a cursor of another list.
 */
export async function logOf(
  ctx: Context,
  { id, api_token_id, webhook_ids }: Integration,
  { kind, status, ...page }: Query
): Promise<Page<Entry>> {
  const kinds = kind === undefined ? [...logKinds] : kind.split(',').toSorted()
  const conditions = ctx.can('audit:read') ? conditionsOf(kinds, status) : []
  const hasDeliveries = kinds.includes('delivery') && ctx.can('webhooks:read')
  const sources: Read<Row>[] = [
    async (limit, from) =>
      api_token_id === null || conditions.length === 0
        ? []
        : await readEvents(ctx, api_token_id, conditions, limit, from),
    async (limit, from) =>
      webhook_ids.length === 0 || !hasDeliveries
        ? []
        : await readDeliveries(ctx, webhook_ids, status, limit, from)
  ]
  const identity = ['integration_log', id, kinds, status ?? null]
  const { data, ...rest } = await mergedPage(ctx, identity, sources, page)
  return { data: data.map(({ entry }) => entry), ...rest }
}

/** Which events are wanted: each one has one of these; none, if no event is. */
function conditionsOf(kinds: string[], status: Status | undefined): SQL[] {
  const isAccess = sql`details is not null`
  const isRefused = sql`type = ${refusal}`
  const ofStatus = { ok: sql` and not ${isRefused}`, failed: sql` and ${isRefused}` }
  return [
    ...(kinds.includes('write') && status !== 'failed' ? [sql`details is null`] : []),
    ...(kinds.includes('access') ? [sql`${isAccess}${status ? ofStatus[status] : sql``}`] : [])
  ]
}

/** The ID below which a source goes on. */
const below = (from: Place | undefined) => (from ? from.id + 1 : Number.MAX_SAFE_INTEGER)

async function readEvents(
  ctx: Context,
  api_token_id: number,
  conditions: SQL[],
  limit: number,
  from?: Place
): Promise<Row[]> {
  const condition = sql.join(
    conditions.map(one => sql`(${one})`),
    sql` or `
  )
  const query = eventsOfToken(api_token_id, condition, below(from), limit)
  return (await ctx.rows<LoggedEvent>(query)).map(event => ({
    at: event.at,
    id: event.id,
    entry: {
      at: event.at,
      kind: event.details === null ? 'write' : 'access',
      type: event.type,
      status: event.type === refusal ? 'failed' : 'ok',
      subject: { type: event.subject_type, id: event.subject_id },
      detail: event.details && detailOf(event.details),
      event_id: event.id,
      delivery_id: null
    }
  }))
}

/** What was exported, or which request was refused. */
function detailOf(details: Record<string, unknown>): string | null {
  const { path, format, types, method, route } = details
  const known = [path, format, types, method, route].flat().filter(one => typeof one === 'string')
  return known.length > 0 ? known.join(' ').slice(0, 1000) : null
}

async function readDeliveries(
  ctx: Context,
  webhook_ids: number[],
  status: Status | undefined,
  limit: number,
  from?: Place
): Promise<Row[]> {
  const states = status ? sent[status] : [...sent.ok, ...sent.failed]
  const query = deliveriesTo(webhook_ids, states, below(from), limit)
  return (await ctx.rows<LoggedDelivery>(query)).map(delivery => ({
    at: delivery.at,
    id: delivery.id,
    entry: {
      at: delivery.at,
      kind: 'delivery',
      type: delivery.type,
      status: delivery.status === 'succeeded' ? 'ok' : 'failed',
      subject: { type: delivery.subject_type, id: delivery.subject_id },
      detail: outcomeOf(delivery),
      event_id: delivery.event_id,
      delivery_id: delivery.id
    }
  }))
}

/** What came of the last attempt: `status 500, 3 attempts`. */
function outcomeOf({ response_status, error, attempts }: LoggedDelivery): string {
  const answer = response_status === null ? (error ?? 'no response') : `status ${response_status}`
  return attempts > 1 ? `${answer}, ${attempts} attempts` : answer
}

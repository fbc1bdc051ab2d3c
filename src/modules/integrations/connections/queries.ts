import type { SQL } from 'drizzle-orm'
import { sql } from '../../../core/db/drizzle.ts'
import { acrossOrganizations, organization, ours } from '../../../core/db/sql.ts'
import { eventChain, events } from '../../../core/records/events.ts'
import { deliveries } from '../deliveries/table.ts'
import { integrations } from './table.ts'

/** What of the feed an integration has not acknowledged. */
export interface Lag {
  cursor: string | null
  acknowledged_at: string | null
  behind: number | null
  behind_since: string | null
}

const lagColumns = sql.raw(`i.cursor, i.acknowledged_at,
  coalesce(last.position, 0) - place.position as behind, next.created_at as behind_since`)

/** The end of the feed, and the first event after the place of each of the integrations `i`. */
const feedOf = (rows: SQL, organization: SQL): SQL => sql`
  from ${rows}
  cross join lateral (select split_part(i.cursor, '-', 1)::bigint as position) place
  left join lateral (select position from ${eventChain} c
    where c.organization_id = ${organization} order by position desc limit 1) last on true
  left join lateral (select e.created_at from ${eventChain} c
    join ${events} e on e.organization_id = c.organization_id and e.id = c.event_id
    where c.organization_id = ${organization} and c.position = place.position + 1) next on true`

/** How far one integration is. */
export const lag = (id: number): SQL => sql`
  select ${lagColumns} ${feedOf(ours(integrations, 'i'), organization)} where i.id = ${id}`

/** How far all active integrations of all organizations are that have acknowledged something. */
export const lags: SQL = sql`
  select i.organization_id, i.id, i.name, i.kind, ${lagColumns}
  ${feedOf(sql`${acrossOrganizations(integrations)} i`, sql`i.organization_id`)}
  where i.is_active and i.deleted_at is null and i.cursor is not null`

/** The columns of an event in the log. */
export interface LoggedEvent {
  id: number
  at: string
  type: string
  subject_type: string
  subject_id: number
  details: Record<string, unknown> | null
}

/** What was done with an API token, newest first; `before`: only events with lower IDs. */
export const eventsOfToken = (
  api_token_id: number,
  condition: SQL,
  before: number,
  limit: number
): SQL => sql`
  select id, created_at as at, type, subject_type, subject_id, details from ${events}
  where organization_id = ${organization} and api_token_id = ${api_token_id}::bigint
    and (${condition}) and id < ${before}::bigint
  order by id desc limit ${limit}::int`

/** The columns of a delivery in the log. */
export interface LoggedDelivery {
  id: number
  at: string
  type: string
  subject_type: string
  subject_id: number
  event_id: number | null
  status: string
  attempts: number
  response_status: number | null
  error: string | null
}

/** What was sent to webhooks: the states that deliveries can be in, each of which has an index. */
export const sent = {
  ok: [sql`d.status = 'succeeded'`],
  failed: [sql`d.status = 'failed'`, sql`d.status = 'pending' and d.attempts > 0`]
}

/** Deliveries in some of these states, newest first; `before`: only those with lower IDs. */
export function deliveriesTo(
  webhook_ids: number[],
  states: SQL[],
  before: number,
  limit: number
): SQL {
  const runs = states.map(
    state => sql`select found.* from unnest(${sql.param(webhook_ids)}::bigint[]) webhook
      cross join lateral (select d.id, d.created_at as at, d.type, d.subject_type, d.subject_id,
        d.event_id, d.status, d.attempts, d.response_status, d.error from ${deliveries} d
      where d.organization_id = ${organization} and d.webhook_id = webhook and ${state}
        and d.id < ${before}::bigint order by d.id desc limit ${limit}::int) found`
  )
  return sql`${sql.join(runs, sql` union all `)} order by id desc limit ${limit}::int`
}

/**
 * Notes the place up to which an integration is done, unless it has been further. Returns whether
 * it did.
 */
export const noteCursor = (id: number, cursor: string): SQL => sql`
  select note_cursor(${organization}, ${id}::bigint, ${cursor}::text) as noted`

import type { SQL } from 'drizzle-orm'
import { eventChain } from '../../../core/records/events.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { acrossOrganizations, organization, oursWithDeleted } from '../../../core/db/sql.ts'
import { webhooks } from '../webhooks/table.ts'
import { deliveries } from './table.ts'

/** How much is sent at a time: the first three by all processes together. */
const limits = { host: 25, webhook: 10, organization: 50 }

/** Milliseconds from reading events to adding their deliveries, at most. */
const margin = 10_000

/** A delivery that this process is to send, as long as it has the lease. */
export interface Claimed {
  organization_id: number
  id: number
  webhook_id: number
  event_id: number | null
  is_replay: boolean
  position: number | null
  payload: string
  /** Milliseconds since it was read. */
  age: number
  /** Its webhook has been changed since, or while it was read: what was read may be of another. */
  is_outdated: boolean
  attempts: number
  leased_until: string
  url: string
  author_id: number
  encrypted_secret: string
  /** Of before a rotation; null when it signs no more. */
  previous_secret: string | null
}

/** Locks out other processes that claim: limits are those of all of them. */
export const claiming: SQL = sql`select pg_advisory_xact_lock(hashtextextended('deliveries', 0))`

/**
 * Claims deliveries that are due, at most `limit`. Of each webhook those come first that are due
 * longest, and organizations with the fewest requests on their way come first.
 */
export const claim = (limit: number, lease: number): SQL => sql`
  with busy as materialized (
    select organization_id, webhook_id, host from ${deliveries}
    where leased_until is not null and leased_until > now()
  ), of_webhook as (
    select organization_id, webhook_id, count(*) as busy from busy group by 1, 2
  ), due as (
    select d.organization_id, d.id, d.due_at, w.host
    from ${acrossOrganizations(webhooks)} w
    left join of_webhook b on b.organization_id = w.organization_id and b.webhook_id = w.id
    cross join lateral (select organization_id, id, due_at from ${deliveries} d
      where d.organization_id = w.organization_id and d.webhook_id = w.id and d.due_at <= now()
      order by d.due_at limit greatest(0, ${limits.webhook}::bigint - coalesce(b.busy, 0))) d
    where w.is_active and w.deleted_at is null
  ), ranked as (
    select d.*,
      row_number() over (partition by d.host order by d.due_at, d.id)
        + (select count(*) from busy where busy.host = d.host) as of_host,
      row_number() over (partition by d.organization_id order by d.due_at, d.id)
        + (select count(*) from busy where busy.organization_id = d.organization_id)
        as of_organization
    from due d
  ), taken as (
    select organization_id, id, host from ranked
    where of_host <= ${limits.host}::bigint and of_organization <= ${limits.organization}::bigint
    order by of_organization, due_at limit ${limit}::bigint
  )
  update ${deliveries} d set host = taken.host, due_at = now() + ${seconds(lease)},
    leased_until = now() + ${seconds(lease)}
  from taken join ${acrossOrganizations(webhooks)} w on w.organization_id = taken.organization_id
  where d.organization_id = taken.organization_id and d.id = taken.id and w.id = d.webhook_id
    and d.status = 'pending' and d.due_at <= now()
  returning d.organization_id, d.id, d.webhook_id, d.event_id, d.is_replay, d.position,
    d.payload, extract(epoch from now() - d.created_at)::float8 * 1000 as age,
    d.created_at < w.updated_at + ${seconds(margin)} as is_outdated, d.attempts,
    d.leased_until, w.url, w.author_id, w.encrypted_secret,
    case when w.previous_until > now() then w.previous_secret end as previous_secret`

/** An interval of milliseconds. */
export const seconds = (milliseconds: number): SQL =>
  sql`make_interval(secs => ${milliseconds / 1000}::double precision)`

/** The active webhooks that the feed has gone on for; `organization_id`: only those of one. */
export const behind = (organization_id: number | null): SQL => sql`
  select w.organization_id, w.id from ${acrossOrganizations(webhooks)} w
  where w.is_active and w.deleted_at is null
    and (${organization_id}::bigint is null or w.organization_id = ${organization_id}::bigint)
    and split_part(w.cursor, '-', 1)::bigint < (select max(position) from ${eventChain} c
      where c.organization_id = w.organization_id)`

/** Has another process, or this one later, send a delivery of which it is not known what came. */
export const release = (id: number, leased_until: string): SQL => sql`
  update ${deliveries} set leased_until = null, due_at = now()
  where organization_id = ${organization} and id = ${id} and leased_until = ${leased_until}
    and status = 'pending'`

/** Cancels some deliveries of a webhook that was deleted. */
export const cancel = (webhook_id: number, limit: number): SQL => sql`
  update ${deliveries} set status = 'cancelled', due_at = null, leased_until = null,
    ended_at = now()
  where organization_id = ${organization} and id = any(array(
    select d.id from ${deliveries} d where d.organization_id = ${organization}
      and d.webhook_id = ${webhook_id} and d.status = 'pending'
      and exists (select from ${oursWithDeleted(webhooks, 'w')}
        where w.id = ${webhook_id} and w.deleted_at is not null) limit ${limit}))
  returning id`

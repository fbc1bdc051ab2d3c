import type { Context } from '../access/context.ts'
import { sql } from '../db/drizzle.ts'
import { organization } from '../db/sql.ts'

/** Entries that one verification reads at most. */
export const maxVerified = 100_000

export const breaks = ['event_changed', 'event_missing', 'entry_missing', 'hash_changed'] as const

/** What verifying a part of a chain found. */
export interface Verification {
  /** Entries that were read, the last of them, and its hash in hexadecimal. */
  verified: number
  position: number | null
  hash: string | null
  /** Whether the chain goes on after it. */
  has_more: boolean
  /** Events that are not in the chain yet. */
  pending: number
  first_break: { position: number; event_id: number; reason: (typeof breaks)[number] } | null
}

/**
 * Computes the chain of the organization anew from the entry after `after`, whose own hash is taken
 * as it is, and finds the first entry that does not match. Reads `limit` entries. Errors: as
 * `Context.aggregate`.
 */
export async function verifyChain(
  ctx: Context,
  after: number,
  limit: number
): Promise<Verification> {
  const [found] = await ctx.aggregate<Verification>(sql`
    with entries as (
      select c.position, c.event_id, c.digest, c.hash, event_digest(e) as actual,
        e.id is null as is_missing,
        row_number() over w + ${after}::bigint as expected,
        chained(coalesce(start.hash, ''), c.digest) over w as computed
      from (select * from event_chain
        where organization_id = ${organization} and position > ${after}
        order by position limit ${limit}) c
      left join (select * from events where organization_id = ${organization}) e
        on e.id = c.event_id
      left join (select hash from event_chain
        where organization_id = ${organization} and position = ${after}) start on true
      window w as (order by c.position)
    ), broken as (
      select expected as position, event_id, case
          when position <> expected then 'entry_missing'
          when hash <> computed then 'hash_changed'
          when is_missing then 'event_missing'
          else 'event_changed'
        end as reason
      from entries
      where position <> expected or hash <> computed or is_missing or digest <> actual
      order by entries.position limit 1
    ), last as (select position, encode(hash, 'hex') as hash from entries
      order by position desc limit 1)
    select (select count(*) from entries) as verified, last.position, last.hash,
      exists (select from event_chain
        where organization_id = ${organization} and position > last.position) as has_more,
      (select count(*) from events e cross join event_sequence
        where organization_id = ${organization} and (xid >= pg_snapshot_xmax(snapshot)
          or xid = any(array(select pg_snapshot_xip(snapshot))))
          and not exists (select from event_chain c
            where c.organization_id = e.organization_id and c.event_id = e.id)) as pending,
      (select to_jsonb(broken) from broken) as first_break
    from (select) one left join last on true`)
  return found!
}

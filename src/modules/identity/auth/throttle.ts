import type { Services } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { rowsOf, type Queryable } from '../../../core/db/sql.ts'
import { tooManyRequests } from '../../../core/errors.ts'
import { loginAttempts, sessions } from './table.ts'

/**
 * Failures per window after which logins are refused; in Postgres, for all processes together. A
 * pair is an account and an address: a stranger uses up the one of his own address.
 */
const limits = {
  pair: { max: 20, minutes: 15 },
  account: { max: 100, minutes: 60 },
  address: { max: 1000, minutes: 15 }
}
type Limit = keyof typeof limits
/** The `kind` of rows that were first written when there were no pairs. */
const kinds = { pair: 'pair', account: 'username', address: 'address' } as const
/** Days for which a pair that logged in is counted on its own. */
const knownDays = 30

const rows = async <Row>({ database }: Services, query: Queryable) =>
  await rowsOf<Row>(database, database.pool, query)

/**
 * An account has one counter, however it is spelled; the prefixes keep a name from being an ID,
 * and a long name leaves room for an address.
 */
const counterOf = (who: number | string) =>
  typeof who === 'number' ? `user:${who}` : `name:${who}`.slice(0, 75)
const pairOf = (who: number | string, address: string) => `${counterOf(who)} ${address}`

/**
 * Counts an attempt of `who`, a user ID or an unknown name, before the password is verified:
 * parallel attempts are limited like consecutive ones. A pair that logged in before has only its
 * own limit, so that nobody else can lock it out. The narrow limits come before the account's, so
 * that one who is refused does not block it; each is a statement of its own, so that no lock is
 * held. Returns whether the pair is a known one. Errors: 429 after too many failures.
 */
export async function countAttempt(
  services: Services,
  who: number | string,
  address: string
): Promise<boolean> {
  const pair = pairOf(who, address)
  const known = await rows(
    services,
    sql`select 1 from ${loginAttempts}
      where kind = 'known' and subject = ${pair} and window_ends_at > now()`
  )
  const isKnown = known.length > 0
  if (!isKnown) await count(services, 'address', address)
  await count(services, 'pair', pair)
  if (!isKnown) await count(services, 'account', counterOf(who))
  return isKnown
}

/** Refused attempts are not counted further: successful ones in flight make room again. */
async function count(services: Services, limit: Limit, subject: string): Promise<void> {
  const { max, minutes } = limits[limit]
  const [seen] = await rows<{ attempts: number; seconds: number }>(
    services,
    sql`insert into ${loginAttempts} as seen (kind, subject, attempts, window_ends_at)
      values (${kinds[limit]}, left(lower(${subject}), 120), 1,
        now() + ${minutes} * interval '1 minute')
      on conflict (kind, subject) do update set
        attempts = case when seen.window_ends_at < now() then 1
          else least(seen.attempts, ${max}) + 1 end,
        window_ends_at = case when seen.window_ends_at < now() then excluded.window_ends_at
          else seen.window_ends_at end
      returning attempts, extract(epoch from window_ends_at - now())::float8 as seconds`
  )
  if (seen!.attempts > max)
    throw tooManyRequests(
      seen!.seconds,
      'Too many failed logins. Try again later, or contact an admin.'
    )
}

/** Clears the failures of an account, from all addresses. */
export async function clearUserFailures(services: Services, user_id: number): Promise<void> {
  await rows(
    services,
    sql`delete from ${loginAttempts} where kind in ('username', 'pair')
      and (subject = ${counterOf(user_id)} or starts_with(subject, ${pairOf(user_id, '')}))`
  )
}

/**
 * After a correct password: clears the failures of the pair and the account, and remembers the
 * pair. The address gets back an attempt that was counted, but is not cleared: one known password
 * is no license to guess others.
 */
export async function clearFailures(
  services: Services,
  user_id: number,
  address: string,
  isKnown: boolean
): Promise<void> {
  const pair = pairOf(user_id, address)
  if (!isKnown)
    await rows(
      services,
      sql`update ${loginAttempts} set attempts = greatest(attempts - 1, 0)
        where kind = 'address' and subject = left(lower(${address}), 120)`
    )
  await rows(
    services,
    sql`delete from ${loginAttempts}
      where (kind, subject) in (('pair', ${pair}), ('username', ${counterOf(user_id)}))`
  )
  await rows(
    services,
    sql`insert into ${loginAttempts} (kind, subject, attempts, window_ends_at)
      values ('known', ${pair}, 0, now() + ${knownDays} * interval '1 day')
      on conflict (kind, subject) do update set window_ends_at = excluded.window_ends_at`
  )
}

/** Deletes some of what has expired, without waiting for any lock. */
export async function removeExpired(services: Services): Promise<void> {
  await rows(
    services,
    sql`with attempts as (
        delete from ${loginAttempts} where (kind, subject) in (
          select kind, subject from ${loginAttempts}
          where window_ends_at < now() - interval '1 minute' limit 20 for update skip locked)
      )
      delete from ${sessions} where id in (
        select id from ${sessions}
        where expires_at < now() - interval '1 day' limit 20 for update skip locked)`
  )
}

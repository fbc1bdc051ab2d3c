import type { Services } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { rowsOf, type Queryable } from '../../../core/db/sql.ts'
import { tooManyRequests } from '../../../core/errors.ts'
import { loginAttempts, sessions } from './table.ts'

/** Failures per window after which logins are refused; in Postgres, for all processes together. */
const maxAttempts = { address: 100, username: 20 }
const windowMinutes = 15

const rows = async <Row>({ database }: Services, query: Queryable) =>
  await rowsOf<Row>(database, database.pool, query)

/** An account has one counter, however it is spelled; the prefixes keep a name from being an ID. */
const counterOf = (who: number | string) =>
  typeof who === 'number' ? `user:${who}` : `name:${who}`

/**
 * Counts an attempt of `who`, a user ID or an unknown name, before the password is verified:
 * parallel attempts are limited like consecutive ones. The address comes first, so that one that
 * is refused does not block an account; each is a statement of its own, so that no lock is held.
 * Errors: 429 after too many failures for this account or from this address.
 */
export async function countAttempt(
  services: Services,
  who: number | string,
  address: string
): Promise<void> {
  await count(services, 'address', address)
  await count(services, 'username', counterOf(who))
}

/** Refused attempts are not counted further: successful ones in flight make room again. */
async function count(
  services: Services,
  kind: keyof typeof maxAttempts,
  subject: string
): Promise<void> {
  const max = maxAttempts[kind]
  const [seen] = await rows<{ attempts: number; seconds: number }>(
    services,
    sql`insert into ${loginAttempts} as seen (kind, subject, attempts, window_ends_at)
      values (${kind}, left(lower(${subject}), 120), 1,
        now() + ${windowMinutes} * interval '1 minute')
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

/** Clears the failures of an account. */
export async function clearUserFailures(services: Services, user_id: number): Promise<void> {
  await rows(
    services,
    sql`delete from ${loginAttempts}
      where kind = 'username' and subject = ${counterOf(user_id)}`
  )
}

/**
 * Clears the failures of an account, and gives the attempt back to the address. The address is not
 * cleared: one known password is no license to guess others.
 */
export async function clearFailures(
  services: Services,
  user_id: number,
  address: string
): Promise<void> {
  await rows(
    services,
    sql`update ${loginAttempts} set attempts = greatest(attempts - 1, 0)
      where kind = 'address' and subject = left(lower(${address}), 120)`
  )
  await clearUserFailures(services, user_id)
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

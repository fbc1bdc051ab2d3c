import type { Services } from '../../../core/access/context.ts'
import { soon } from '../../../core/db/database.ts'
import { tooManyRequests } from '../../../core/errors.ts'

/** So many failures in the window, then logins wait for its end; in Postgres, so that all processes count together. */
const most = { address: 100, username: 20 }
const windowMinutes = 15

/** An account has one counter, however it is spelled; the prefix keeps a name from being the counter of somebody else. */
const counterOf = (who: number | string) =>
  typeof who === 'number' ? `user:${who}` : `name:${who}`

/**
 * Counts an attempt of `who`, a user's number or a name that nobody has, before the password is looked at: a thousand attempts
 * at the same time are no more than one after the other. The address comes first, so that one that waits makes no account
 * wait; and each is a statement of its own, so that nobody waits with a lock in hand.
 * Errors: 429 when there were too many failures for this account or from this address.
 */
export async function countAttempt(
  services: Services,
  who: number | string,
  address: string
): Promise<void> {
  await count(services, 'address', address)
  await count(services, 'username', counterOf(who))
}

/** What is refused is not counted any further: attempts in flight that turn out to be good make room again. */
async function count(services: Services, kind: keyof typeof most, subject: string): Promise<void> {
  const [seen] = await soon(services.database.pool<[{ attempts: number; seconds: number }]>`
    insert into login_attempts as seen (kind, subject, attempts, window_ends_at)
    values (${kind}, left(lower(${subject}), 120), 1, now() + ${windowMinutes} * interval '1 minute')
    on conflict (kind, subject) do update set
      attempts = case when seen.window_ends_at < now() then 1 else least(seen.attempts, ${most[kind]}) + 1 end,
      window_ends_at = case when seen.window_ends_at < now() then excluded.window_ends_at else seen.window_ends_at end
    returning attempts, extract(epoch from window_ends_at - now())::float8 as seconds`)
  if (seen.attempts > most[kind])
    throw tooManyRequests(seen.seconds, 'Too many failed logins. Wait, or ask an admin.')
}

/**
 * Clears an account, and gives the attempt back to the address that knew the password: that one is not cleared, because one
 * good account is no licence to guess at others.
 */
export async function forgive(services: Services, user_id: number, address?: string): Promise<void> {
  if (address !== undefined)
    await soon(services.database.pool`
    update login_attempts set attempts = greatest(attempts - 1, 0) where kind = 'address' and subject = left(lower(${address}), 120)`)
  await soon(
    services.database
      .pool`delete from login_attempts where kind = 'username' and subject = ${counterOf(user_id)}`
  )
}

/** Clears away some of what is over, so that guessed names and old sessions do not pile up; it waits for nobody's lock. */
export async function sweep(services: Services): Promise<void> {
  await soon(services.database.pool`
    with attempts as (
      delete from login_attempts where (kind, subject) in (
        select kind, subject from login_attempts where window_ends_at < now() - interval '1 minute' limit 20 for update skip locked)
    )
    delete from sessions where id in (
      select id from sessions where expires_at < now() - interval '1 day' limit 20 for update skip locked)`)
}

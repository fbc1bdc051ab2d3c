import type { House } from '../../kit/context.ts'
import { tooManyRequests } from '../../kit/errors.ts'

/** So many failures in the window, then logins wait for its end; in Postgres, so that all processes count together. */
const most = { username: 10, address: 100 }
const windowMinutes = 15

const subjects = (username: string, address: string) => ({ username: username.toLowerCase().slice(0, 120), address: address.slice(0, 120) })

/** Errors: 429 when there were too many failures for this name or from this address. */
export async function refuseIfThrottled (house: House, username: string, address: string): Promise<void> {
  const subject = subjects(username, address)
  const [throttled] = await house.database.point<{ seconds: number }[]>`
    select extract(epoch from max(window_ends_at) - now())::float8 as seconds from login_attempts
    where window_ends_at > now() and (
      (kind = 'username' and subject = ${subject.username} and attempts >= ${most.username}) or
      (kind = 'address' and subject = ${subject.address} and attempts >= ${most.address}))
    having count(*) > 0`
  if (throttled) throw tooManyRequests(throttled.seconds, 'Too many failed logins. Wait, or ask an admin.')
}

/** Counts a failure. Also clears away some of what is over, so that guessed names do not pile up. */
export async function remember (house: House, username: string, address: string): Promise<void> {
  const subject = subjects(username, address)
  await house.database.pool`
    with swept as (
      delete from login_attempts where (kind, subject) in (
        select kind, subject from login_attempts where window_ends_at < now() - interval '1 minute' limit 20 for update skip locked)
    )
    insert into login_attempts as seen (kind, subject, attempts, window_ends_at)
    values ('address', ${subject.address}, 1, now() + ${windowMinutes} * interval '1 minute'),
           ('username', ${subject.username}, 1, now() + ${windowMinutes} * interval '1 minute')
    on conflict (kind, subject) do update set
      attempts = case when seen.window_ends_at < now() then 1 else seen.attempts + 1 end,
      window_ends_at = case when seen.window_ends_at < now() then excluded.window_ends_at else seen.window_ends_at end`
}

/** A good login clears the name, not the address: one good account is no licence to guess at others. */
export async function forgive (house: House, username: string): Promise<void> {
  await house.database.pool`delete from login_attempts where kind = 'username' and subject = ${subjects(username, '').username}`
}

import { createHmac } from 'node:crypto'
import type { SQL } from 'drizzle-orm'
import type { Services } from '../../../core/services.ts'
import { networkOf } from '../../../core/access/networks.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { rowsOf, type Queryable } from '../../../core/db/sql.ts'
import { tooManyRequests, type Problem } from '../../../core/errors.ts'
import { loginAttempts, type AttemptKind } from './table.ts'

/**
 * Failures per window after which logins are refused; in Postgres, for all processes together. A
 * pair is an account and an address: a stranger only uses up the limit of their own address.
 */
const limits = {
  pair: { max: 20, minutes: 15 },
  username: { max: 100, minutes: 60 }, // the account, which is not always counted by its name
  address: { max: 1000, minutes: 15 },
  /** Password resets: mails to a user, and requests from an address. */
  reset: { max: 5, minutes: 60 },
  reset_from: { max: 50, minutes: 60 },
  /** Organizations that are created from an address. */
  signup: { max: 10, minutes: 60 }
} satisfies Partial<Record<AttemptKind, { max: number; minutes: number }>>
type Limit = keyof typeof limits
/** Days for which a pair that logged in is counted on its own. */
const knownDays = 30

const rows = async <Row>({ database }: Services, query: Queryable) =>
  await rowsOf<Row>(database, database.pool, query)

/**
 * An account has one counter, however it is spelled; the prefixes keep a name from being an ID. Of
 * a name that nobody has only a hash is kept: people type their password there.
 */
function counterOf({ keyFor }: Services, who: number | string): string {
  if (typeof who === 'number') return `user:${who}`
  const hash = createHmac('sha256', keyFor('login attempts')).update(who.toLowerCase())
  return `name:${hash.digest('hex')}`
}

/** A counter of attempts. */
interface Counter {
  kind: Limit
  subject: string
}

/** A counter in the window that has counted an attempt. */
interface Window extends Counter {
  ends_at: string
}

/** An attempt that was counted and not refused yet; see `settle`. */
export interface Attempt {
  /** The account, the address, and both. */
  username: Counter
  address: Counter
  pair: Counter
  /** Those that are not full, which have counted it. */
  counted: Window[]
  /** Whether the account logged in from this network before. */
  isKnown: boolean
  refusal: Problem | undefined
}

/**
 * Counts an attempt of `who`, a user ID or an unknown name, before the password is verified:
 * parallel attempts are limited like consecutive ones. The narrow limits come before the account's,
 * so that one who is refused does not block it; each is a statement of its own, so that no lock is
 * held. Nobody else can lock out a known pair: only its own limit refuses it here. The others
 * refuse its wrong passwords, in `settle`: the answers do not tell it from an account that does not
 * exist. Errors: 429 after too many failures.
 */
export async function countAttempt(
  services: Services,
  who: number | string,
  from: string
): Promise<Attempt> {
  const username = { kind: 'username', subject: counterOf(services, who) } as const
  const address = { kind: 'address', subject: networkOf(from).toLowerCase() } as const
  const pair = { kind: 'pair', subject: `${username.subject} ${address.subject}` } as const
  const known = await rows(
    services,
    sql`select 1 from ${loginAttempts}
      where kind = 'known' and subject = ${pair.subject} and window_ends_at > now()`
  )
  const isKnown = known.length > 0
  const ofAddress = await count(services, address)
  if (ofAddress.refusal && !isKnown) throw ofAddress.refusal
  const ofPair = await count(services, pair)
  if (ofPair.refusal) throw ofAddress.refusal ?? ofPair.refusal
  // what the address is refused for anyway is not counted for the account
  const ofUser = ofAddress.refusal ? undefined : await count(services, username)
  const counted = [ofAddress, ofPair, ofUser].flatMap(one => one?.window ?? [])
  const refusal = ofAddress.refusal ?? ofUser?.refusal
  return { username, address, pair, counted, isKnown, refusal }
}

/** The window that has counted an attempt, or the refusal if it is full. */
interface Count {
  window?: Window
  refusal?: Problem
}

/**
 * Counts an attempt. Refused attempts are not counted further:
 * successful ones in flight make room again. A window that ends later than one that starts now is
 * over, too: the clock was set back. (A minute is left to statements that started earlier.)
 */
async function count(services: Services, { kind, subject }: Counter): Promise<Count> {
  const { max, minutes } = limits[kind]
  const isCurrent = sql`seen.window_ends_at
    between now() and excluded.window_ends_at + interval '1 minute'`
  const [seen] = await rows<{ attempts: number; seconds: number; ends_at: string }>(
    services,
    sql`insert into ${loginAttempts} as seen (kind, subject, attempts, window_ends_at)
      values (${kind}, ${subject}, 1, now() + ${minutes} * interval '1 minute')
      on conflict (kind, subject) do update set
        attempts = case when ${isCurrent} then least(seen.attempts, ${max}) + 1 else 1 end,
        window_ends_at = case when ${isCurrent} then seen.window_ends_at
          else excluded.window_ends_at end
      returning attempts, window_ends_at::text as ends_at,
        extract(epoch from window_ends_at - now())::float8 as seconds`
  )
  const { attempts, seconds, ends_at } = seen!
  if (attempts <= max) return { window: { kind, subject, ends_at } }
  const text = 'Too many attempts. Try again later, or contact an admin.'
  return { refusal: tooManyRequests(seconds, text) }
}

const countFrom = async (services: Services, kind: Limit, address: string) =>
  await count(services, { kind, subject: networkOf(address).toLowerCase() })

/** Counts a request for a password reset from an address. Returns whether there were too many. */
export const tooManyResetsFrom = async (services: Services, address: string): Promise<boolean> =>
  (await countFrom(services, 'reset_from', address)).refusal !== undefined

/** Counts a new organization from an address. Returns the refusal if there were too many. */
export const tooManySignupsFrom = async (
  services: Services,
  address: string
): Promise<Problem | undefined> => (await countFrom(services, 'signup', address)).refusal

/** Counts a mail for a password reset to a user. Returns whether there were too many. */
export const tooManyResetsOf = async (services: Services, user_id: number): Promise<boolean> =>
  (await count(services, { kind: 'reset', subject: counterOf(services, user_id) })).refusal !==
  undefined

/**
 * How an attempt ended. Incomplete: what was sent is correct, but proves too little to clear
 * failures, such as a password without the code of the second factor.
 */
export type AttemptResult = 'wrong' | 'incomplete' | 'correct'

/** Errors: 429 for an attempt over a limit, unless a known pair has the correct password. */
export function assertAdmitted({ refusal, isKnown }: Attempt, isCorrect: boolean): void {
  if (refusal && !(isKnown && isCorrect)) throw refusal
}

/**
 * Ends an attempt that was verified. A wrong one stays counted; an incomplete one, only for the
 * pair. A correct one clears the failures of the pair and the account, and makes the pair known.
 * The address is not cleared: one known password is no license to guess others. Errors: 429, see
 * `assertAdmitted`.
 */
export async function settle(
  services: Services,
  attempt: Attempt,
  result: AttemptResult
): Promise<void> {
  assertAdmitted(attempt, result !== 'wrong')
  if (result === 'wrong') return
  const { pair, username, counted } = attempt
  const kinds = result === 'correct' ? ['address'] : ['address', 'username']
  await uncount(
    services,
    counted.filter(({ kind }) => kinds.includes(kind))
  )
  if (result === 'incomplete') return
  await rows(
    services,
    sql`delete from ${loginAttempts}
      where (kind, subject) in (('pair', ${pair.subject}), ('username', ${username.subject}))`
  )
  await rows(
    services,
    sql`insert into ${loginAttempts} (kind, subject, attempts, window_ends_at)
      values ('known', ${pair.subject}, 0, now() + ${knownDays} * interval '1 day')
      on conflict (kind, subject) do update set window_ends_at = excluded.window_ends_at`
  )
}

/** Takes an attempt back; not from a window that has begun since. */
async function uncount(services: Services, windows: Window[]): Promise<void> {
  for (const { kind, subject, ends_at } of windows)
    await rows(
      services,
      sql`update ${loginAttempts} set attempts = greatest(attempts - 1, 0)
        where kind = ${kind} and subject = ${subject} and window_ends_at = ${ends_at}::timestamptz`
    )
}

/** What verifies an attempt: if it fails, as by a 503, the attempt is not counted. */
export async function verifying<Result>(
  services: Services,
  attempt: Attempt,
  work: () => Promise<Result>
): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    await uncount(services, attempt.counted)
    throw error
  }
}

/** The statement that clears the failures of an account, from all addresses. */
export function deleteUserFailures(services: Services, user_id: number): SQL {
  const counter = counterOf(services, user_id)
  return sql`delete from ${loginAttempts} where kind in ('username', 'pair')
    and (subject = ${counter} or starts_with(subject, ${`${counter} `}))`
}

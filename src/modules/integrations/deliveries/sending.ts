import { setTimeout as sleep } from 'node:timers/promises'
import { Context } from '../../../core/access/context.ts'
import { begin, organization, send } from '../../../core/db/sql.ts'
import { sql } from '../../../core/db/drizzle.ts'
import type { Services } from '../../../core/services.ts'
import { signedHeaders } from '../webhooks/secret.ts'
import { webhookService } from '../webhooks/service.ts'
import { authorOf, messageAt, pausingWithoutAuthor } from './expansion.ts'
import { messageId } from './messages.ts'
import { claim, claiming, release, seconds, type Claimed } from './queries.ts'
import type { DeliveryStatus } from './table.ts'

const second = 1_000
const minute = 60 * second
const hour = 60 * minute

/** When and how long deliveries are tried, in milliseconds. */
export interface Schedule {
  /** From each attempt to the next one, after which there is none: ten in 75 hours. */
  delays: readonly number[]
  /** How long an attempt may take, and a process that has begun one is believed to be alive. */
  time: number
  lease: number
  /** How long attempts must have failed for their webhook to be paused. */
  patience: number
  /** How long what was read for a message is sent without a look at the rights of the author. */
  freshness: number
}

export const schedule: Schedule = {
  delays: [
    5 * second,
    5 * minute,
    30 * minute,
    ...[2, 5, 10, 14, 20, 24].map(hours => hours * hour)
  ],
  time: 15 * second,
  lease: 30 * second,
  patience: 24 * hour,
  freshness: 10 * second
}

/** Attempts in a row that must have failed for it, too. */
const maxFailures = 20
/** How much of a delay is by chance, in either direction. */
const jitter = 0.1
/** Bytes of a response that are kept. */
const maxResponse = 4096

/** Claims deliveries that are due, at most `limit`. Errors: of the database. */
export async function claimDue(
  { database }: Services,
  limit: number,
  { lease }: Schedule
): Promise<Claimed[]> {
  return await begin(database, async connection => {
    await send(connection, claiming)
    return [...(await send<Claimed>(connection, claim(limit, lease)))]
  })
}

interface Outcome {
  status: DeliveryStatus
  duration_ms: number
  response_status: number | null
  response_body: string | null
  error: string | null
  /** What was sent, if it was read again. */
  payload?: string
}

/**
 * Sends a delivery that was claimed, and notes what came of it. `signal` interrupts it: another
 * process sends it again. Errors: of the database; the lease ends by itself then.
 */
export async function attempt(
  services: Services,
  claimed: Claimed,
  { delays, time, patience, freshness }: Schedule,
  signal: AbortSignal
): Promise<void> {
  const { organization_id, webhook_id, author_id, event_id } = claimed
  const ctx = Context.system(services, organization_id)
  const payload = await pausingWithoutAuthor(ctx, webhook_id, async () => {
    await authorOf(ctx, author_id)
    const isFresh = claimed.age < freshness && !claimed.is_outdated
    return isFresh ? claimed.payload : await readAgain(ctx, claimed)
  })
  if (payload === undefined) return
  if (payload === null) return void (await note(ctx, claimed, withdrawn, null))
  const outcome = await request(services, { ...claimed, payload }, time, signal)
  if (signal.aborted && outcome.status !== 'succeeded')
    return void (await ctx.write([], release(claimed.id, claimed.leased_until)))
  const isGone = outcome.response_status === 410
  // before the next delivery can be claimed
  if (isGone) await webhookService.pause(ctx, webhook_id, 'gone')
  const delay = event_id === null || isGone ? undefined : delays[claimed.attempts]
  const isOver = outcome.status === 'succeeded' || delay === undefined
  const noted = {
    ...(isOver ? outcome : { ...outcome, status: 'pending' as const }),
    ...(payload !== claimed.payload && { payload })
  }
  const state = await note(ctx, claimed, noted, isOver ? null : delay * around())
  if (!state || state.failures < maxFailures) return
  if (Date.now() - Date.parse(state.failing_since!) >= patience)
    await webhookService.pause(ctx, webhook_id, 'failing')
}

/** What the author may read now of what is to be sent; null: nothing. Errors: as `messageAt`. */
async function readAgain(
  ctx: Context,
  { webhook_id, position, payload }: Claimed
): Promise<string | null> {
  if (position === null) return payload
  return (await messageAt(ctx, webhook_id, position))?.payload ?? null
}

const withdrawn: Outcome = {
  status: 'cancelled',
  duration_ms: 0,
  response_status: null,
  response_body: null,
  error: 'The webhook does not select the event any more, or its author may not read it.'
}

/** A factor by chance, so that what failed together is not tried again together. */
const around = () => 1 + jitter * (2 * Math.random() - 1)

async function request(
  services: Services,
  claimed: Claimed,
  time: number,
  signal: AbortSignal
): Promise<Outcome> {
  const start = performance.now()
  const fared = (fields: Partial<Outcome>): Outcome => ({
    status: 'failed',
    duration_ms: Math.round(performance.now() - start),
    response_status: null,
    response_body: null,
    error: null,
    ...fields
  })
  try {
    const { status, ok, text } = await post(services, claimed, time, signal)
    const response = { response_status: status, response_body: text }
    return fared(ok ? { ...response, status: 'succeeded' } : response)
  } catch (error) {
    return fared({ error: faultOf(error, time) })
  }
}

async function post(services: Services, claimed: Claimed, time: number, signal: AbortSignal) {
  const { organization_id, payload, encrypted_secret, previous_secret } = claimed
  const secrets = previous_secret === null ? [] : [previous_secret]
  const response = await services.outbound.fetch(claimed.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'user-agent': 'SmartX-Webhooks',
      ...signedHeaders(services, organization_id, [encrypted_secret, ...secrets], {
        id: messageId(claimed),
        time: new Date(),
        payload
      }),
      ...(claimed.is_replay && { 'webhook-replay': 'true' })
    },
    body: payload,
    time,
    bytes: maxResponse,
    signal
  })
  const { status, ok } = response
  // Postgres stores no NUL
  return { status, ok, text: (await response.text()).replaceAll('\0', '\uFFFD') }
}

/** What an error means for those who look for it, in one line. */
function faultOf(error: unknown, time: number): string {
  if (!(error instanceof Error)) return 'The request failed.'
  if (error.name === 'TimeoutError') return `The server did not respond within ${time / second} s.`
  if (error.cause instanceof Error) return faultOf(error.cause, time)
  const code = 'code' in error && typeof error.code === 'string' ? `${error.code}: ` : ''
  return `${code}${error.message}`.slice(0, 500)
}

interface State {
  failures: number
  failing_since: string | null
}

/** How often, and after how many milliseconds, what came of an attempt is tried to be noted. */
const notings = 10
const pause = 500

/** Notes what came of an attempt, also if the database is busy: it would be made again. */
async function note(
  ctx: Context,
  { id, leased_until }: Claimed,
  outcome: Outcome,
  delay: number | null
): Promise<State | undefined> {
  const next = delay === null ? sql`null::interval` : seconds(delay)
  const query = sql`select failures, failing_since from end_attempt(${organization},
    ${id}::bigint, ${leased_until}::timestamptz, ${JSON.stringify(outcome)}::text::jsonb, ${next})`
  for (let i = 1; ; i++) {
    try {
      return (await ctx.write<State>([], query))[0]
    } catch (error) {
      if (i === notings) throw error
      await sleep(pause)
    }
  }
}

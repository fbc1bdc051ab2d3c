import type { Static } from '@sinclair/typebox'
import { Context } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { organization } from '../../../core/db/sql.ts'
import { conflict, notFound, ruleBroken } from '../../../core/errors.ts'
import type { JobPayload } from '../../../core/jobs.ts'
import { eventChain, events } from '../../../core/records/events.ts'
import { cursorOf, lastPlace, placeAt, placeOf } from '../../../core/records/feed.ts'
import { defineUserJob, type Batch } from '../../../core/user-jobs.ts'
import { webhookResource } from '../webhooks/resource.ts'
import { webhookService } from '../webhooks/service.ts'
import { addDeliveries, pausingWithoutAuthor, readerOf, readFor } from './expansion.ts'
import type { Replay } from './schema.ts'

/**
 * What remains of a replay: events after a cursor and up to a position, of some time. The cursor is
 * null until that of the time has been looked for.
 */
interface ReplayEvents {
  webhook_id: number
  after: string | null
  until: number
  from: string | null
  to: string | null
  added: number
}

/** Sends events again that were there before. */
export const replayEvents = defineUserJob<ReplayEvents>('replay_events', {
  permission: `${webhookResource.path}:update`
})

/**
 * Has the events between two cursors, or two times, be sent to a webhook again, as its author may
 * read them now. Returns the ID of the job. Errors: 404, 410, 422.
 */
export async function replay(
  ctx: Context,
  webhook_id: number,
  range: Static<typeof Replay>
): Promise<number> {
  await webhookService.get(ctx, webhook_id)
  const { after, until, from = null, to = null } = range
  if ((after === undefined) === (from === null))
    throw ruleBroken(['after', 'from'], 'Either `after` or `from` is required.', {
      rule: 'required'
    })
  if ((until !== undefined && from !== null) || (to !== null && after !== undefined))
    throw ruleBroken(until === undefined ? 'to' : 'until', 'Cursors and times cannot be mixed.', {
      rule: 'excludes'
    })
  const end = until === undefined ? await lastPlace(ctx) : placeOf(until)
  const remaining = { webhook_id, after: after ?? null, until: end.position, from, to, added: 0 }
  return await replayEvents.start(ctx, remaining)
}

/** The cursor before the first event of a time or later; the end of the feed if there is none. */
async function cursorAt(ctx: Context, time: string): Promise<string> {
  const [first] = await ctx.rows<{ position: number | null }>(sql`
    select min(c.position) as position
    from (select * from ${events} where organization_id = ${organization}
      and created_at >= ${time}::timestamptz) e
    join (select * from ${eventChain} where organization_id = ${organization}) c
      on c.event_id = e.id`)
  const { position } = first!
  return cursorOf(position === null ? await lastPlace(ctx) : await placeAt(ctx, position - 1))
}

/** Adds a batch of deliveries. Errors: 404, 409, 410. */
export async function replayBatch(
  ctx: Context,
  job: ReplayEvents & JobPayload
): Promise<Batch<ReplayEvents & JobPayload>> {
  const { webhook_id, until, from, to } = job
  const after = placeOf(job.after ?? (await cursorAt(ctx, from!)))
  const system = Context.system(ctx.services, ctx.organization_id)
  const reader = await readerOf(system, webhook_id)
  if (!reader) throw notFound('webhook')
  const read = async () => await readFor(system, reader, after)
  const reading = await pausingWithoutAuthor(system, webhook_id, read)
  if (!reading) throw conflict('The author of the webhook may no longer read the events.')
  const { messages, end, entries, hasMore } = reading
  const isIn = (i: number) => {
    const at = Date.parse(entries[i]!.at)
    const isEarly = from !== null && at < Date.parse(from)
    const isLate = to !== null && at >= Date.parse(to)
    return !isEarly && !isLate && messages[i]!.position! <= until
  }
  const wanted = messages.filter((_, i) => isIn(i))
  if (wanted.length > 0 && !(await addDeliveries(ctx, webhook_id, wanted, { isReplay: true })))
    throw conflict('The webhook was deleted.')
  const added = job.added + wanted.length
  const isOver = !hasMore || end.position >= until
  return {
    done: wanted.length,
    result: { added },
    ...(!isOver && { rest: { ...job, after: cursorOf(end), added } })
  }
}

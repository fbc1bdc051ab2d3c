import type { Static } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { Context } from '../../../core/access/context.ts'
import { beginning, cursorOf, lastPlace, placeOf, type Place } from '../../../core/records/feed.ts'
import type { FeedQuery } from './schema.ts'
import { feedService, type Part, type Reading } from './service.ts'

type Query = Static<typeof FeedQuery>

/**
 * The place that a caller names. What was acknowledged before is in the feed then: before `latest`,
 * or to be read.
 */
export async function placeNamed(ctx: Context, cursor: string | undefined): Promise<Place> {
  await ctx.services.sequencer.tryCatchUp()
  if (cursor === undefined) return beginning
  return cursor === 'latest' ? await lastPlace(ctx) : placeOf(cursor)
}

/** Waiting for events takes a turn of the organization, which this ends. Errors: 429. */
export const beginToWait = async (ctx: Context): Promise<() => void> =>
  await ctx.services.database.turns.feeds.begin(ctx.organization_id)

/** A page of the feed; waits for one with events if the caller wants that. Errors: as `read`. */
export async function pageOf(request: FastifyRequest, query: Query): Promise<Part> {
  const { ctx } = request
  const { after, limit = 100, wait = 0 } = query
  const place = await placeNamed(ctx, after)
  const selection = feedService.selectionOf(ctx, query)
  const reading = { after: place, previous: cursorOf(place), selection, limit }
  if (wait === 0) return await feedService.read(ctx, reading)
  const end = await beginToWait(ctx)
  try {
    return await waitFor(request, query, reading, wait * 1000)
  } finally {
    end()
  }
}

/**
 * The first page that has events, or one without after this time. Each is read with the rights that
 * the caller has then.
 */
async function waitFor(
  request: FastifyRequest,
  query: Query,
  reading: Reading,
  milliseconds: number
): Promise<Part> {
  const { ctx, server } = request
  const { sequencer } = ctx.services
  const signal = AbortSignal.any([sequencer.stopping, AbortSignal.timeout(milliseconds)])
  const subscription = sequencer.subscribe(ctx.organization_id)
  try {
    let part = await feedService.read(ctx, reading)
    while (part.entries.length === 0 && !signal.aborted) {
      if (!part.hasMore) await subscription.wait(milliseconds, signal)
      const ctx = await server.readmit(request)
      const selection = feedService.selectionOf(ctx, query)
      part = await feedService.read(ctx, { ...reading, after: part.end, selection })
    }
    return part
  } finally {
    subscription.close()
  }
}

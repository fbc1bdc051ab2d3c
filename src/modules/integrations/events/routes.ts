import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import { Readable } from 'node:stream'
import type { Context } from '../../../core/access/context.ts'
import { definePermission } from '../../../core/access/permissions.ts'
import { withCompression } from '../../../core/http/compression.ts'
import { defineTag } from '../../../core/http/operations.ts'
import { json, response } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { beginning, cursorOf, lastPlace, placeOf, type Place } from '../../../core/records/feed.ts'
import type { Subscription } from '../../../core/records/sequencer.ts'
import {
  EventStream,
  FeedEvent,
  FeedPage,
  FeedQuery,
  StreamHeaders,
  StreamQuery
} from './schema.ts'
import { feedService, type Part, type Reading } from './service.ts'
import { streamOf } from './stream.ts'

type Query = Static<typeof FeedQuery>

const path = 'events'
const permission = `${path}:read`
// everyone, since nobody gets events of records that they may not read
definePermission(permission, 'everyone')

/** The feed, below `/api/events`. */
const routes: FastifyPluginAsyncTypebox = async app => {
  for (const schema of [FeedEvent, FeedPage, EventStream]) app.addSchema(schema)
  const tags = [defineTag(path, 'What has changed, completely and in order.')]

  await withCompression(app, app => {
    app.get(
      '',
      {
        config: { permission },
        schema: {
          operationId: 'listEvents',
          summary: 'List events',
          description:
            'What has changed after a cursor, in order: of one record in the order of its ' +
            'versions, and each event exactly once. A change is there as soon as it was ' +
            'acknowledged. Events of records that the caller cannot read now are not there, and ' +
            'hidden fields are not in them.',
          tags,
          querystring: FeedQuery,
          response: response(200, 'Events.', Ref(FeedPage))
        }
      },
      async (request, reply) => {
        const { entries, end, hasMore } = await read(request, request.query as Query)
        const page = { data: entries, has_more: hasMore, next_cursor: cursorOf(end) }
        return reply.type(json).send(JSON.stringify(page))
      }
    )
  })

  app.get(
    '/stream',
    {
      config: { permission },
      schema: {
        operationId: 'streamEvents',
        summary: 'Stream events',
        description:
          'The same events as they happen, as server-sent events. To resume, send the last ID ' +
          'as `Last-Event-ID` (browsers do) or as `after`. What is not taken within 45 seconds ' +
          'ends the stream.',
        tags,
        headers: StreamHeaders,
        querystring: StreamQuery,
        response: {
          200: {
            description: 'Events.',
            content: { 'text/event-stream': { schema: Ref(EventStream) } }
          }
        }
      }
    },
    async (request, reply) => {
      const { ctx, query, headers } = request
      const after = await placeIn(ctx, headers['last-event-id'] ?? query.after ?? 'latest')
      feedService.selectionOf(ctx, query) // refused before it begins
      const end = await begin(ctx)
      const left = new AbortController()
      reply.raw.once('close', () => {
        left.abort()
        end()
      })
      request.raw.setTimeout(stuck)
      const stream = streamOf(ctx, {
        after,
        wanted: query,
        readmit: async () => await app.readmit(request),
        signal: AbortSignal.any([
          left.signal,
          ctx.services.sequencer.stopping,
          AbortSignal.timeout(query.duration! * 1000)
        ])
      })
      return reply
        .type('text/event-stream; charset=utf-8')
        .header('cache-control', 'no-store')
        .header('x-accel-buffering', 'no')
        .send(Readable.from(stream, { objectMode: false }) as unknown as string)
    }
  )

  /** A page, after waiting for one if the caller wants that. */
  async function read(request: FastifyRequest, query: Query): Promise<Part> {
    const { ctx } = request
    const { sequencer } = ctx.services
    const { after = '0-', limit = 100, wait = 0 } = query
    await sequencer.catchUp().catch(() => {}) // what is not there now is there later
    const place = await placeIn(ctx, after)
    const selection = feedService.selectionOf(ctx, query)
    const reading = { after: place, previous: cursorOf(place), selection, limit }
    if (wait === 0) return await feedService.read(ctx, reading)
    const subscription = sequencer.subscribe(ctx.organization_id)
    const end = await begin(ctx)
    try {
      return await waited(request, reading, subscription, wait * 1000)
    } finally {
      end()
      subscription.close()
    }
  }
}

/**
 * The first page that has events, or one without after this time; read with the rights that the
 * caller has then.
 */
async function waited(
  request: FastifyRequest,
  reading: Reading,
  subscription: Subscription,
  milliseconds: number
): Promise<Part> {
  const { stopping } = request.server.services.sequencer
  const signal = AbortSignal.any([stopping, AbortSignal.timeout(milliseconds)])
  let part = await feedService.read(request.ctx, reading)
  while (part.entries.length === 0 && !signal.aborted) {
    if (!part.hasMore) await subscription.wait(milliseconds, signal)
    const ctx = await request.server.readmit(request)
    const selection = feedService.selectionOf(ctx, request.query as Query)
    part = await feedService.read(ctx, { ...reading, after: part.end, selection })
  }
  return part
}

/** Milliseconds after which a stream ends that nobody takes anything from. */
const stuck = 45_000

/** Waiting for events is limited per organization. Errors: 429. */
const begin = async (ctx: Context) =>
  await ctx.services.database.turns.feeds.begin(ctx.organization_id)

async function placeIn(ctx: Context, cursor: string): Promise<Place> {
  if (cursor === 'latest') return await lastPlace(ctx)
  return cursor === '0-' ? beginning : placeOf(cursor)
}

export default routes

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Readable } from 'node:stream'
import { definePermission } from '../../../core/access/permissions.ts'
import { withCompression } from '../../../core/http/compression.ts'
import { defineTag, problems } from '../../../core/http/operations.ts'
import { json, response } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { assertPlace, cursorOf } from '../../../core/records/feed.ts'
import { beginToWait, pageOf, placeNamed } from './reading.ts'
import {
  EventStream,
  EventType,
  EventTypes,
  FeedEvent,
  FeedPage,
  FeedQuery,
  longestStream,
  StreamHeaders,
  StreamQuery
} from './schema.ts'
import { feedService } from './service.ts'
import { streamOf } from './stream.ts'
import { eventTypes } from './types.ts'

const path = 'events'
const permission = `${path}:read`
// everyone, since nobody gets events of records that they may not read
definePermission(permission, 'everyone')
const tags = [defineTag(path, 'Changes of records, complete and in order.')]

/** The feed, below `/api/events`. */
const routes: FastifyPluginAsyncTypebox = async app => {
  for (const schema of [FeedEvent, FeedPage, EventStream]) app.addSchema(schema)
  await withCompression(app, mountPages)
  mountStream(app)
}

function mountPages(app: FastifyInstance): void {
  app.get(
    '',
    {
      config: { permission },
      schema: {
        operationId: 'listEvents',
        summary: 'List events',
        description:
          'The changes after a cursor: each event exactly once, and those of one record in the ' +
          'order of its versions. A change is included as soon as its request is acknowledged. ' +
          'Events of records that the caller may not read now are left out, as are hidden fields.',
        tags,
        ...problems(410),
        querystring: FeedQuery,
        response: response(200, 'Events.', Ref(FeedPage))
      }
    },
    async (request, reply) => {
      const query = request.query as Static<typeof FeedQuery>
      const { entries, end, hasMore } = await pageOf(request, query)
      const page = { data: entries, has_more: hasMore, next_cursor: cursorOf(end) }
      return reply.type(json).send(JSON.stringify(page))
    }
  )
}

function mountStream(app: FastifyInstance): void {
  app.get(
    '/stream',
    {
      config: { permission },
      schema: {
        operationId: 'streamEvents',
        summary: 'Stream events',
        description:
          'The same events as they happen, as server-sent events. To resume, send the last ID ' +
          'as `Last-Event-ID` (browsers do) or as `after`. The stream ends when the token ' +
          'expires, and when the client reads nothing for 45 seconds.',
        tags,
        ...problems(410),
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
    sendStream
  )
}

/** Types of events, at `/api/event-types`. */
export const eventTypeRoutes: FastifyPluginAsyncTypebox = async app => {
  for (const schema of [EventType, EventTypes]) app.addSchema(schema)
  const all = JSON.stringify({ data: eventTypes() })
  app.get(
    '',
    {
      config: { permission },
      schema: {
        operationId: 'listEventTypes',
        summary: 'List event types',
        description:
          'All types of events. In this document, `x-events` of an operation names those that it ' +
          'causes.',
        tags,
        response: response(200, 'The types.', Ref(EventTypes))
      }
    },
    (_request, reply) => reply.type(json).send(all)
  )
}

/** Milliseconds after which a stream ends that nobody takes anything from. */
const stuck = 45_000

async function sendStream(request: FastifyRequest, reply: FastifyReply) {
  const { ctx, server } = request
  const query = request.query as Static<typeof StreamQuery>
  const { duration = longestStream } = query
  const { 'last-event-id': last } = request.headers as Static<typeof StreamHeaders>
  const after = await placeNamed(ctx, last ?? query.after ?? 'latest')
  // what is refused is not a stream
  await assertPlace(ctx, after)
  feedService.selectionOf(ctx, query)
  const end = await beginToWait(ctx)
  const left = new AbortController()
  reply.raw.once('close', () => {
    left.abort()
  })
  reply.raw.setTimeout(stuck, () => reply.raw.destroy())
  const events = streamOf(ctx, {
    after,
    wanted: query,
    readmit: async () => await server.readmit(request),
    signal: AbortSignal.any([
      left.signal,
      ctx.services.sequencer.stopping,
      AbortSignal.timeout(duration * 1000)
    ])
  })
  const stream = Readable.from(events, { objectMode: false })
  // not with the response, which may have closed before: Fastify destroys the stream then
  stream.once('close', end)
  return reply
    .type('text/event-stream; charset=utf-8')
    .header('cache-control', 'no-store')
    .header('x-accel-buffering', 'no') // nginx would wait for more
    .send(stream)
}

export default routes

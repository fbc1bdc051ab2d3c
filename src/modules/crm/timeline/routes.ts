import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import {
  commaSeparated,
  cursorParameter,
  limitParameter
} from '../../../core/records/list-query.ts'
import { answer, article, byId, capital, idOf, nextLink } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { entries, kinds, Timeline, TimelineEntry } from './schema.ts'
import { timelineOf } from './service.ts'

const Asked = Type.Object(
  {
    limit: limitParameter,
    cursor: cursorParameter,
    kind: commaSeparated(
      kinds,
      kinds.length,
      `The kinds of entries to show, some of ${kinds.join(', ')}; all of them if absent.`
    )
  },
  { additionalProperties: false }
)
const told = {
  contact: 'contacts',
  lead: 'leads',
  account: 'accounts',
  opportunity: 'opportunities'
} as const

const routes: FastifyPluginAsyncTypebox = async app => {
  for (const schema of [...entries, TimelineEntry, Timeline]) app.addSchema(schema)
  for (const type of Object.keys(told) as (keyof typeof told)[]) {
    app.get(
      `/${told[type]}/:id/timeline`,
      {
        config: { permission: `${told[type]}:read` },
        schema: {
          operationId: `get${capital(type)}Timeline`,
          summary: `Get the timeline of ${article(type)}`,
          tags: [told[type]],
          description: `All that happened to the ${type}, newest first: activities, changes, and the records that point at it.`,
          params: byId(),
          querystring: Asked,
          response: answer(200, 'What happened.', Ref(Timeline))
        }
      },
      async (request, reply) => {
        const page = await timelineOf(request.ctx, type, idOf(request), request.query)
        if (page.next_cursor !== null) reply.header('link', nextLink(request, page.next_cursor))
        return page
      }
    )
  }
}

export default routes

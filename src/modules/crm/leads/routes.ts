import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { versionsOf } from '../../../core/http/preconditions.ts'
import { crud } from '../../../core/http/resource-routes.ts'
import { cursorParameter, limitParameter } from '../../../core/records/list-query.ts'
import { answer, byId, conditions, nextLink, sendRecord } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { Contact } from '../contacts/schema.ts'
import * as contacts from '../contacts/service.ts'
import { Move, MovePage } from '../../sales/stage-history/schema.ts'
import { TagList } from '../tags/schema.ts'
import * as tags from '../tags/service.ts'
import { UserSummary } from '../../identity/users/schema.ts'
import { findSummaries } from '../../identity/users/service.ts'
import { Lead, LeadChanges, leadFilter, leadScopes, NewLead, Qualification } from './schema.ts'
import * as leads from './service.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  crud(app, leads, {
    one: 'lead',
    many: 'leads',
    record: Lead,
    create: NewLead,
    update: LeadChanges,
    filter: leadFilter,
    scopes: leadScopes,
    sort: ['id', 'status', 'score', 'grade', 'moved_at', 'created_at', 'updated_at'],
    include: {
      contact: {
        by: 'contact_id',
        find: contacts.find,
        record: Ref(Contact),
        permission: 'contacts:read'
      },
      assigned_to: { by: 'assigned_to', find: findSummaries, record: Ref(UserSummary) },
      tags: { by: 'tags', find: tags.find, record: TagList, permission: 'tags:read' }
    }
  })

  for (const schema of [Qualification, Move, MovePage]) app.addSchema(schema)
  app.post(
    '/:id/qualification',
    {
      config: { permission: 'leads:write' },
      schema: {
        operationId: 'qualifyLead',
        summary: 'Qualify a lead',
        tags: ['leads'],
        description:
          'Says that something may come of a lead, or that nothing will, and why: what PATCH does with `status` and `unqualified_reason`. ' +
          'Without a body it is qualified. The same again changes nothing; a converted lead stays converted.',
        params: byId(),
        body: Ref(Qualification),
        headers: conditions(['if-match']),
        response: answer(200, 'The lead as it is now.', Ref(Lead))
      }
    },
    async (request, reply) =>
      sendRecord(
        reply,
        await leads.qualify(request.ctx, request.params.id, request.body, versionsOf(request))
      )
  )

  app.get(
    '/:id/moves',
    {
      config: { permission: 'leads:read' },
      schema: {
        operationId: 'listLeadMoves',
        summary: 'List the moves of a lead',
        tags: ['leads'],
        description:
          'The way of a lead through its statuses, newest first: who moved it, and how long it had been in the status before.',
        params: byId(),
        querystring: Type.Object(
          { limit: limitParameter, cursor: cursorParameter },
          { additionalProperties: false }
        ),
        response: answer(200, 'The moves.', Ref(MovePage))
      }
    },
    async (request, reply) => {
      const page = await leads.movesOfLead(request.ctx, request.params.id, request.query)
      if (page.next_cursor !== null) reply.header('link', nextLink(request, page.next_cursor))
      return page
    }
  )
}

export default routes

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { etagOf, isLenient, versionsOf } from '../../../core/http/preconditions.ts'
import { answer, byId, conditions } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { Conversion, NewConversion, UndoneConversion } from './schema.ts'
import * as conversions from './service.ts'

/** The conversion of a lead, as a part of the lead. */
const routes: FastifyPluginAsyncTypebox = async app => {
  for (const schema of [NewConversion, Conversion, UndoneConversion]) app.addSchema(schema)

  app.post(
    '/:id/conversion',
    {
      config: { permission: 'leads:write' },
      schema: {
        operationId: 'convertLead',
        summary: 'Convert a lead',
        tags: ['leads'],
        description:
          'Makes an account, a contact and an opportunity of a lead, or takes those that are there, or none: all of it or nothing. ' +
          'With `{}` it is what is natural: the contact of the lead, the account of its company and a new opportunity; of a lead without a contact ' +
          'only an opportunity titled `Lead <id>`. A lead is converted once: later calls answer 200 with what came of the first, whatever their body ' +
          'and `If-Match` say. A new record that is probably there already is refused with 409 and the `matches`: a contact with the same `email`, ' +
          'or the same `first_name`, `last_name` and `company`; an account with the same `name`, or the same domain in `website`; whatever the case ' +
          'and the accents. `ETag` and `If-Match` are those of the lead.',
        params: byId(),
        body: Ref(NewConversion),
        headers: conditions(['if-match', 'prefer']),
        response: {
          ...answer(201, 'What the lead was converted into.', Ref(Conversion)),
          ...answer(200, 'What the lead had been converted into before.', Ref(Conversion))
        }
      }
    },
    async (request, reply) => {
      const lenient = isLenient(request)
      const { conversion, is_new } = await conversions.convert(
        request.ctx,
        request.params.id,
        request.body,
        lenient,
        versionsOf(request)
      )
      if (lenient) reply.header('preference-applied', 'handling=lenient')
      if (is_new) reply.code(201).header('location', `/api/leads/${request.params.id}/conversion`)
      reply.header('etag', etagOf(conversion.lead))
      return conversion
    }
  )

  app.get(
    '/:id/conversion',
    {
      config: { permission: 'leads:read' },
      schema: {
        operationId: 'getLeadConversion',
        summary: 'Get the conversion of a lead',
        tags: ['leads'],
        description: 'What a lead was converted into, with the records as they are now.',
        params: byId(),
        response: answer(200, 'What the lead was converted into.', Ref(Conversion))
      }
    },
    async request => await conversions.get(request.ctx, request.params.id)
  )

  app.delete(
    '/:id/conversion',
    {
      config: { permission: 'leads:write' },
      schema: {
        operationId: 'undoLeadConversion',
        summary: 'Take the conversion of a lead back',
        tags: ['leads'],
        description:
          'Gives the lead its status back, deletes what the conversion made and clears what it filled, ' +
          'as far as nothing has changed since and nothing else points at it; what it left it says. `ETag` and `If-Match` are those of the lead.',
        params: byId(),
        headers: conditions(['if-match']),
        response: answer(200, 'What was undone, and what was left.', Ref(UndoneConversion))
      }
    },
    async (request, reply) => {
      const undone = await conversions.undo(request.ctx, request.params.id, versionsOf(request))
      reply.header('etag', etagOf(undone.lead))
      return undone
    }
  )
}

export default routes

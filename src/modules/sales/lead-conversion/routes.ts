import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { causes, problems } from '../../../core/http/operations.ts'
import { etagOf, versionsOf } from '../../../core/http/preconditions.ts'
import { isLenient } from '../../../core/http/preferences.ts'
import { idParameter, requestHeaders, response } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { defineAction } from '../../../core/records/actions.ts'
import { leadResource } from '../../crm/leads/resource.ts'
import { Conversion, NewConversion, UndoneConversion } from './schema.ts'
import { leadConversionService } from './service.ts'

causes(
  ['convertLead'],
  'account.created',
  'contact.created',
  'contact.updated',
  'opportunity.created',
  'conversion.created'
)
causes(
  ['undoLeadConversion'],
  'account.deleted',
  'contact.deleted',
  'contact.updated',
  'opportunity.deleted',
  'conversion.deleted'
)

const tags = ['leads']

defineAction(leadResource, 'convert', {
  permission: 'leads:update',
  body: NewConversion,
  run: async (ctx, id, body, { versions, lenient }) => {
    const result = await leadConversionService.convert(ctx, id, body, lenient, versions)
    return result.conversion.lead
  }
})

/** The conversion of a lead, below `/api/leads`. */
const routes: FastifyPluginAsyncTypebox = async app => {
  for (const schema of [NewConversion, Conversion, UndoneConversion]) app.addSchema(schema)
  await app.register(convertRoute)
  await app.register(getRoute)
  await app.register(undoRoute)
}

const convertRoute: FastifyPluginAsyncTypebox = async app => {
  app.post(
    '/:id/conversion',
    {
      config: { permission: 'leads:update' },
      schema: {
        operationId: 'convertLead',
        summary: 'Convert a lead',
        description:
          'Converts a lead into an account, a contact and an opportunity, each new or existing, ' +
          "all or nothing. `{}` uses the contact of the lead, the account of the contact's " +
          'company and a new opportunity; for a lead without a contact, only an opportunity. A ' +
          'lead is converted only once: later calls return the first result with 200, ' +
          'regardless of their body and `If-Match`. A new record that probably already exists ' +
          'is refused with 409 and the `matches`: a contact with the same `email`, or the same ' +
          '`first_name`, `last_name` and `company`; an account with the same `name`, or the same ' +
          'host in `website` unless many share it (social networks, site builders). Case, ' +
          'accents, white space and punctuation at the end make no difference; a value such as ' +
          '`n/a` matches nothing. Concurrent conversions into one new record create it once. ' +
          'Until the conversion is undone, the activities of the lead are also among those of ' +
          'the account, the contact and the opportunity. `ETag` and `If-Match` are those of the ' +
          'lead.',
        tags,
        ...problems(409, 422),
        params: idParameter(),
        body: Ref(NewConversion),
        headers: requestHeaders('if-match', 'prefer'),
        response: {
          ...response(
            201,
            'The conversion.',
            Ref(Conversion),
            'Location',
            'ETag',
            'Preference-Applied'
          ),
          ...response(200, 'The earlier conversion.', Ref(Conversion), 'ETag', 'Preference-Applied')
        }
      }
    },
    async (request, reply) => {
      const { id } = request.params
      const { ctx, body } = request
      const lenient = isLenient(request)
      const versions = versionsOf(request)
      const result = await leadConversionService.convert(ctx, id, body, lenient, versions)
      if (lenient) reply.header('preference-applied', 'handling=lenient')
      if (result.created) reply.code(201).header('location', `/api/leads/${id}/conversion`)
      reply.header('etag', etagOf(result.conversion.lead))
      return result.conversion
    }
  )
}

const getRoute: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '/:id/conversion',
    {
      config: { permission: 'leads:read' },
      schema: {
        operationId: 'getLeadConversion',
        summary: "Get a lead's conversion",
        description: 'The records that a lead was converted into, as they are now.',
        tags,
        params: idParameter(),
        response: response(200, 'The conversion.', Ref(Conversion))
      }
    },
    async request => await leadConversionService.get(request.ctx, request.params.id)
  )
}

const undoRoute: FastifyPluginAsyncTypebox = async app => {
  app.delete(
    '/:id/conversion',
    {
      config: { permission: 'leads:update' },
      schema: {
        operationId: 'undoLeadConversion',
        summary: "Undo a lead's conversion",
        description:
          'Restores the status of the lead, deletes the records that the conversion created and ' +
          'clears the fields that it filled, except those that have since changed and records ' +
          'that others refer to; the response lists what was left. The activities of the lead ' +
          'are no longer among those of the records. `ETag` and `If-Match` are those of the lead.',
        tags,
        ...problems(409),
        params: idParameter(),
        headers: requestHeaders('if-match'),
        response: response(200, 'What was undone and what was left.', Ref(UndoneConversion), 'ETag')
      }
    },
    async (request, reply) => {
      const { ctx } = request
      const undone = await leadConversionService.undo(ctx, request.params.id, versionsOf(request))
      reply.header('etag', etagOf(undone.lead))
      return undone
    }
  )
}

export default routes

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { definePermission } from '../../../core/access/permissions.ts'
import { defineTag, problems } from '../../../core/http/operations.ts'
import { versionsOf } from '../../../core/http/preconditions.ts'
import { recordResponse, requestHeaders, sendRecord } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { Organization, OrganizationChanges } from './schema.ts'
import { organizationService } from './service.ts'

definePermission('organization:read', 'everyone')
definePermission('organization:update', 'administration')

const routes: FastifyPluginAsyncTypebox = async app => {
  for (const schema of [Organization, OrganizationChanges]) app.addSchema(schema)
  const tags = [defineTag('organization', 'Your organization and its settings.')]

  app.get(
    '',
    {
      config: { permission: 'organization:read' },
      schema: {
        operationId: 'getOrganization',
        summary: 'Get your organization',
        description: 'The organization of the caller, with its settings.',
        tags,
        response: recordResponse('The organization.', Ref(Organization))
      }
    },
    async ({ ctx }, reply) => sendRecord(reply, await organizationService.get(ctx))
  )

  app.patch(
    '',
    {
      config: { permission: 'organization:update' },
      schema: {
        operationId: 'updateOrganization',
        summary: 'Change the settings of your organization',
        description: 'Changes only the given settings. They count from the next request on.',
        tags,
        ...problems(422),
        headers: requestHeaders('if-match'),
        body: Ref(OrganizationChanges),
        response: recordResponse('The organization.', Ref(Organization))
      }
    },
    async (request, reply) =>
      sendRecord(
        reply,
        await organizationService.update(request.ctx, request.body, versionsOf(request))
      )
  )
}

export default routes

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { problems } from '../../../core/http/operations.ts'
import { versionsOf } from '../../../core/http/preconditions.ts'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import {
  createdResponse,
  idOf,
  idParameter,
  recordResponse,
  requestHeaders,
  sendRecord
} from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { apiTokenResource } from './resource.ts'
import { IssuedApiToken, NewApiToken, Rotation } from './schema.ts'
import { apiTokenService } from './service.ts'

const { path } = apiTokenResource
const tags = [path]
const defaultOverlap = 24

const routes: FastifyPluginAsyncTypebox = async app => {
  for (const schema of [IssuedApiToken, NewApiToken, Rotation]) app.addSchema(schema)

  app.post(
    '',
    {
      config: { permission: `${path}:create` },
      schema: {
        operationId: 'createApiToken',
        summary: 'Create an API token',
        description:
          'Creates a credential for a script or an integration, and returns it: no other ' +
          'response has it. It is accepted by every operation that its scopes allow, but not ' +
          'below `/api/auth`, nor to create or change tokens, users and roles.',
        tags,
        ...problems(422),
        body: Ref(NewApiToken),
        response: createdResponse('The new API token.', Ref(IssuedApiToken))
      }
    },
    async (request, reply) => {
      const issued = await apiTokenService.issue(request.ctx, request.body)
      reply.code(201).header('location', `${app.prefix}/${issued.id}`)
      return sendRecord(reply, issued)
    }
  )

  await resourceRoutes(app, apiTokenResource, apiTokenService)

  app.post(
    '/:id/rotation',
    {
      config: { permission: `${path}:update` },
      schema: {
        operationId: 'rotateApiToken',
        summary: 'Rotate an API token',
        description:
          'Replaces the secret and returns the new token. The old one works on for up to 7 days, ' +
          '24 hours unless `overlap_hours` is given.',
        tags,
        ...problems(404, 412),
        params: idParameter(),
        headers: requestHeaders('if-match'),
        body: Ref(Rotation),
        response: recordResponse('The API token with its new secret.', Ref(IssuedApiToken))
      }
    },
    async (request, reply) => {
      const { overlap_hours = defaultOverlap } = request.body ?? {}
      const id = idOf(request)
      const versions = versionsOf(request)
      return sendRecord(
        reply,
        await apiTokenService.rotate(request.ctx, id, overlap_hours, versions)
      )
    }
  )
}

export default routes

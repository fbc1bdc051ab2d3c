import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { causes, problems } from '../../../core/http/operations.ts'
import { originOf } from '../../../core/http/origin.ts'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import { createdResponse, response, sendRecord } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { sessionOf } from '../auth/responses.ts'
import { Session } from '../auth/schema.ts'
import { invitationResource } from './resource.ts'
import { Acceptance, IssuedInvitation, NewInvitation } from './schema.ts'
import { invitationService } from './service.ts'

causes(['acceptInvitation'], 'user.created', 'invitation.updated', 'invitation.deleted')

const routes: FastifyPluginAsyncTypebox = async app => {
  app.addSchema(IssuedInvitation)
  await resourceRoutes(app, invitationResource, invitationService)

  app.post(
    '',
    {
      config: { permission: 'invitations:create' },
      schema: {
        operationId: 'createInvitation',
        summary: 'Invite a person',
        description:
          'Invites a person to become a user. The invitation is mailed; where the server has no ' +
          '`SMTP_URL`, the response has its `token`, once, to be passed on. It replaces an open ' +
          'invitation of the same email address, whose token is no longer accepted.',
        tags: [invitationResource.path],
        ...problems(409, 422),
        body: Ref(NewInvitation),
        response: createdResponse('The new invitation.', Ref(IssuedInvitation))
      }
    },
    async (request, reply) => {
      const invitation = await invitationService.invite(request.ctx, request.body)
      reply.code(201).header('location', `${app.prefix}/${invitation.id}`)
      return sendRecord(reply, invitation)
    }
  )
}

/** What a person who was invited does, below `/api/auth/invitations`. */
export const acceptanceRoutes: FastifyPluginAsyncTypebox = async app => {
  app.addSchema(Acceptance)
  app.post(
    '/accept',
    {
      config: { public: true },
      schema: {
        operationId: 'acceptInvitation',
        summary: 'Accept an invitation',
        description:
          'Makes the person who was invited a user, and logs them in. The token works once, for ' +
          'seven days; one that is unknown, expired, withdrawn or was used is a 422 at `/token`. ' +
          'A person who has to sign in with an identity provider gets a 403, `sign_in_enforced`: ' +
          'the first sign-in accepts the invitation.',
        tags: ['auth'],
        ...problems(403, 409, 422),
        body: Ref(Acceptance),
        response: response(200, 'The session.', Ref(Session))
      }
    },
    async request => {
      const { body } = request
      return sessionOf(app, await invitationService.accept(app.services, body, originOf(request)))
    }
  )
}

export default routes

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { causes, problems } from '../../../core/http/operations.ts'
import { originOf } from '../../../core/http/origin.ts'
import { response } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { signupClosed } from '../../../core/errors.ts'
import { sessionOf } from '../auth/responses.ts'
import { NewOrganization, Signup } from './signup-schema.ts'
import type { Provision } from './service.ts'
import { signUp } from './signup.ts'

causes(['createOrganization'], 'role.created', 'user.created', 'pipeline.created', 'stage.created')

interface Options {
  /** Whether anyone may create an organization. */
  isOpen: boolean
  /** What it starts with. */
  provision: Provision
}

/** Creating an organization, below `/api/organizations`. */
const routes: FastifyPluginAsyncTypebox<Options> = async (app, { isOpen, provision }) => {
  for (const schema of [NewOrganization, Signup]) app.addSchema(schema)

  app.post(
    '',
    {
      config: { public: true },
      schema: {
        operationId: 'createOrganization',
        summary: 'Create an organization',
        description:
          'Creates an organization with its first admin, a pipeline and its settings, and logs ' +
          'the admin in. Only where the operator has opened the signup (`SIGNUP=open`); ' +
          'otherwise, it is a 403. At most ten per hour from one IP address.',
        tags: ['organization'],
        ...problems(403, 422),
        body: Ref(NewOrganization),
        response: response(201, 'The organization and the session of its admin.', Ref(Signup))
      }
    },
    async (request, reply) => {
      if (!isOpen) throw signupClosed()
      const { body } = request
      const origin = originOf(request)
      const { organization, login } = await signUp(app.services, body, origin, provision)
      return reply.code(201).send({ organization, session: sessionOf(app, login) })
    }
  )
}

export default routes

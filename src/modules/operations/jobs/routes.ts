import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { withCompression } from '../../../core/http/compression.ts'
import { defineTag, problems } from '../../../core/http/operations.ts'
import { mountList } from '../../../core/http/resource-reads.ts'
import { idParameter, response } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { ListQueryReader } from '../../../core/records/list-query.ts'
import { JobPage, jobSchema } from './schema.ts'
import { jobService } from './service.ts'

const path = 'jobs'
const filters = ['state', 'kind', 'created_by', 'created_at'] as const
const tags = [defineTag(path, 'Work in the background that users have started.')]

/** Jobs, below `/api/jobs`. */
const routes: FastifyPluginAsyncTypebox = async app => {
  const schema = jobSchema()
  for (const one of [schema, JobPage]) app.addSchema(one)
  await withCompression(app, app => {
    mountList({
      app,
      resource: { path, plural: path, pluralLabel: path },
      service: jobService,
      schema,
      relations: {},
      query: new ListQueryReader({ path, schema, filters })
    })
  })

  app.get(
    '/:id',
    {
      config: { permission: `${path}:read` },
      schema: {
        operationId: 'getJob',
        summary: 'Get a job',
        description:
          'A job of the caller, and how far it is; administrators get those of all users. It is ' +
          'deleted 30 days after its end.',
        tags,
        params: idParameter(),
        response: response(200, 'The job.', Ref(schema))
      }
    },
    async request => await jobService.get(request.ctx, request.params.id)
  )

  app.post(
    '/:id/cancellation',
    {
      config: { permission: `${path}:update` },
      schema: {
        operationId: 'cancelJob',
        summary: 'Cancel a job',
        description:
          'Cancels a job. One that is waiting ends at once (200), one that is running after its ' +
          'current batch (202). What it has done stays done. 409 for one that must complete, ' +
          'such as moving the opportunities of a deleted stage.',
        tags,
        ...problems(409),
        params: idParameter(),
        response: {
          ...response(200, 'The job, which is canceled.', Ref(schema)),
          ...response(202, 'The job, which will be canceled.', Ref(schema))
        }
      }
    },
    async (request, reply) => {
      const job = await jobService.cancel(request.ctx, request.params.id)
      return reply.code(job.ended_at === null ? 202 : 200).send(job)
    }
  )
}

export default routes

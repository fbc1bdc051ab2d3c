import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { TSchema } from '@sinclair/typebox'
import { fileHeaders, sendFile } from '../../../core/http/file-responses.ts'
import { defineTag, problems } from '../../../core/http/operations.ts'
import { Csv, Ndjson } from '../../../core/http/resource-reads.ts'
import {
  emptyResponse,
  idParameter,
  response,
  type HeaderName
} from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { jobSchema } from '../../operations/jobs/schema.ts'
import { jobService } from '../../operations/jobs/service.ts'
import { exportableTypes } from './parts.ts'
import { exportSchema, newExport } from './schema.ts'
import { exportService } from './service.ts'

const tags = [
  defineTag('exports', 'Records of one moment, as a file, and the cursor of that moment.')
]
const permissions = { read: 'exports:read', make: exportService.permission }

/** A response with a file, or a part of one. */
const fileResponse = (status: number, description: string, ...headers: HeaderName[]) => {
  const declared = response(status, description, Ref(Csv), 'ETag', 'Accept-Ranges', ...headers)
  declared[status]!.content = {
    'text/csv': { schema: Ref(Csv) },
    'application/x-ndjson': { schema: Ref(Ndjson) }
  } as object as (typeof declared)[number]['content']
  return declared
}

type App = Parameters<FastifyPluginAsyncTypebox>[0]

/** Exports, below `/api/exports`. */
const routes: FastifyPluginAsyncTypebox = async app => {
  const names = exportableTypes()
  const [job, one, body] = [jobSchema(), exportSchema(names), newExport(names)]
  for (const schema of [job, one, body]) app.addSchema(schema)

  app.post(
    '',
    {
      config: { permission: permissions.make },
      schema: {
        operationId: 'createExport',
        summary: 'Start an export',
        description:
          'Writes all records of the given types to a file, as they were at one moment. The ' +
          'events of the feed after its `cursor` are what has happened since: the file and these ' +
          'events add up to the current records. The `result` of the job has `href`, `cursor`, ' +
          '`rows` and `sha256`. The rights are those that its author, or the API token, has when ' +
          'the file is made; each type requires its permission, such as `contacts:export`. An ' +
          'organization has one export made at a time.',
        tags,
        ...problems(422),
        body: Ref(body),
        response: response(202, 'The job that makes the export.', Ref(job), 'Location')
      }
    },
    async (request, reply) => {
      const { ctx } = request
      const id = await exportService.create(ctx, request.body)
      const job = await jobService.get(ctx, id)
      return reply.code(202).header('location', `/api/jobs/${id}`).send(job)
    }
  )

  mountGets(app, Ref(one))
}

/** What reads an export, and its file. */
function mountGets(app: App, one: TSchema): void {
  const params = idParameter()
  app.get(
    '/:id',
    {
      config: { permission: permissions.read },
      schema: {
        operationId: 'getExport',
        summary: 'Get an export',
        description:
          'An export of the caller, or of any user for administrators. It has the ID of its job, ' +
          'and is deleted with its file seven days after its end.',
        tags,
        params,
        response: response(200, 'The export.', one)
      }
    },
    async request => await exportService.get(request.ctx, request.params.id)
  )

  app.get(
    '/:id/content',
    {
      config: { permission: permissions.read },
      schema: {
        operationId: 'getExportContent',
        summary: 'Get the file of an export',
        description:
          'The file, or a part of it (`Range`). It is for the author of the export, and for ' +
          'users who may export all records of its types; a 403 for those who may export less ' +
          'than it contains. A 409 until the file is complete.',
        tags,
        ...problems(409, 416),
        params,
        headers: fileHeaders(),
        response: {
          ...fileResponse(200, 'The file.', 'Content-Disposition'),
          ...fileResponse(206, 'A part of the file.', 'Content-Disposition', 'Content-Range'),
          ...emptyResponse(304, 'ETag')
        }
      }
    },
    async (request, reply) =>
      await sendFile(request, reply, await exportService.openFile(request.ctx, request.params.id))
  )
}

export default routes

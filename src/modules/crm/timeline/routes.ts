import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type, type Static, type TSchema } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { withCompression } from '../../../core/http/compression.ts'
import { idOf, idParameter, pageResponse, sendPage } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { pascalCase, withArticle } from '../../../core/names.ts'
import { cursorParameter, limitParameter, listOfNames } from '../../../core/records/list-query.ts'
import { resourceNamed, type Resource } from '../../../core/records/resource.ts'
import { linkable } from '../activities/table.ts'
import { kinds, timelineSchemas } from './schema.ts'
import { timelineService } from './service.ts'
import { linkedTypes } from './sources.ts'

const TimelineQuery = Type.Object(
  {
    limit: limitParameter,
    cursor: cursorParameter,
    kind: listOfNames(
      kinds,
      kinds.length,
      `Kinds of entries to return, separated by commas: ${kinds.join(', ')}. Default: all.`
    )
  },
  { additionalProperties: false }
)

/** A timeline for each type of record that activities link to. */
const routes: FastifyPluginAsyncTypebox = async app => {
  const subjects = linkable.map(type => resourceNamed(type))
  const { all, Timeline } = timelineSchemas(linkedTypes(subjects))
  for (const schema of all) app.addSchema(schema)

  await withCompression(app, app => {
    for (const resource of subjects) mountTimeline(app, resource, Timeline)
  })
}

function mountTimeline(app: FastifyInstance, resource: Resource, timeline: TSchema): void {
  const { name, label, path } = resource
  app.get(
    `/${path}/:id/timeline`,
    {
      config: { permission: `${path}:read` },
      schema: {
        operationId: `get${pascalCase(name)}Timeline`,
        summary: `Get the timeline of ${withArticle(label)}`,
        description:
          `Everything that happened to the ${label}, newest first: activities, changes, and ` +
          'records that refer to it.',
        tags: [path],
        params: idParameter(),
        querystring: TimelineQuery,
        response: pageResponse('The timeline.', Ref(timeline))
      }
    },
    async (request, reply) => {
      const { ctx } = request
      const query = request.query as Static<typeof TimelineQuery>
      const page = await timelineService.timelineOf(ctx, resource, idOf(request), query)
      return sendPage(request, reply, page)
    }
  )
}

export default routes

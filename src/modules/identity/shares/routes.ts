import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type, type Static } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { isShareable } from '../../../core/access/reach.ts'
import { causes, problems } from '../../../core/http/operations.ts'
import {
  createdResponse,
  emptyResponse,
  idOf,
  idParameter,
  pageResponse,
  sendPage
} from '../../../core/http/responses.ts'
import { Id, Ref } from '../../../core/http/schema.ts'
import { pascalCase, withArticle } from '../../../core/names.ts'
import { PageQuery } from '../../../core/records/list-query.ts'
import { allResources, type Resource } from '../../../core/records/resource.ts'
import { NewShare, Share, SharePage } from './schema.ts'
import { shareService } from './service.ts'

/** The shares of every kind of record that belongs to users. */
const routes: FastifyPluginAsyncTypebox = async app => {
  for (const schema of [Share, SharePage, NewShare]) app.addSchema(schema)
  const shareable = allResources()
    .filter(({ name }) => isShareable(name))
    .toSorted((a, b) => a.path.localeCompare(b.path))
  causes(
    shareable.map(({ name }) => `share${pascalCase(name)}`),
    'share.created'
  )
  causes(
    shareable.map(({ name }) => `delete${pascalCase(name)}Share`),
    'share.deleted'
  )
  for (const [i, resource] of shareable.entries()) {
    mountCreate(app, resource)
    mountList(app, resource)
    mountEnd(app, resource, i + 1)
  }
}

function mountCreate(app: FastifyInstance, resource: Resource): void {
  const { name, label, path } = resource
  app.post(
    `/${path}/:id/shares`,
    {
      config: { permission: `${path}:update` },
      schema: {
        operationId: `share${pascalCase(name)}`,
        summary: `Share ${withArticle(label)}`,
        description:
          `Lets a user or a team whose roles do not reach the ${label} read it, or change it. ` +
          'Requires that you may change it.',
        tags: [path],
        ...problems(404, 409, 422),
        params: idParameter(),
        body: Ref(NewShare),
        response: createdResponse('The share.', Ref(Share))
      }
    },
    async (request, reply) => {
      const id = idOf(request)
      const body = request.body as Static<typeof NewShare>
      const share = await shareService.create(request.ctx, resource, id, body)
      return reply.code(201).header('location', `/api/${path}/${id}/shares/${share.id}`).send(share)
    }
  )
}

function mountList(app: FastifyInstance, resource: Resource): void {
  const { name, label, path } = resource
  app.get(
    `/${path}/:id/shares`,
    {
      config: { permission: `${path}:read` },
      schema: {
        operationId: `list${pascalCase(name)}Shares`,
        summary: `List the shares of ${withArticle(label)}`,
        description: `Whom the ${label} is shared with, newest first.`,
        tags: [path],
        ...problems(404),
        params: idParameter(),
        querystring: PageQuery,
        response: pageResponse('The shares.', Ref(SharePage))
      }
    },
    async (request, reply) => {
      const query = request.query as Static<typeof PageQuery>
      const page = await shareService.list(request.ctx, resource, idOf(request), query)
      return sendPage(request, reply, page)
    }
  )
}

/** `example` is the ID of the share, if the examples are tried in their order. */
function mountEnd(app: FastifyInstance, resource: Resource, example: number): void {
  const { name, label, path } = resource
  app.delete(
    `/${path}/:id/shares/:share_id`,
    {
      config: { permission: `${path}:update` },
      schema: {
        operationId: `delete${pascalCase(name)}Share`,
        summary: `End a share of ${withArticle(label)}`,
        description: `The user or team no longer reaches the ${label} by it.`,
        tags: [path],
        ...problems(404),
        params: Type.Object(
          {
            ...idParameter().properties,
            share_id: Id({ description: 'Share ID.', example })
          },
          { additionalProperties: false }
        ),
        response: emptyResponse(204)
      }
    },
    async (request, reply) => {
      const { share_id } = request.params as { share_id: number }
      await shareService.remove(request.ctx, resource, idOf(request), share_id)
      return reply.code(204).send()
    }
  )
}

export default routes

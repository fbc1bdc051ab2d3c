import type { FastifyReply, FastifyRequest } from 'fastify'
import { pascalCase, withArticle } from '../names.ts'
import { versionsOf } from './preconditions.ts'
import { recordQuery, sendWritten } from './presentation.ts'
import { createRecord, updateRecord } from './record-writes.ts'
import { operation, type Mount } from './resource-mount.ts'
import { createOrMatch, matchParameters } from './resource-upserts.ts'
import {
  createdResponse,
  emptyResponse,
  idOf,
  recordResponse,
  requestHeaders
} from './responses.ts'
import { Ref } from './schema.ts'

export function mountCreate(mount: Mount): void {
  const { app, resource, service, schema } = mount
  if (!service.create || !resource.create) return
  const one = withArticle(resource.label)
  const { config, schema: declared } = operation(
    mount,
    'create',
    {
      operationId: `create${pascalCase(resource.name)}`,
      summary: `Create ${one}`,
      description: `Creates ${one} and returns it.`
    },
    409,
    422
  )
  const parameters = matchParameters(mount)
  const isUpsert = Object.keys(parameters).length > 0
  const response = {
    ...(isUpsert && recordResponse(`The ${resource.label} that matches.`, Ref(schema))),
    ...createdResponse(`The new ${resource.label}.`, Ref(schema))
  }
  app.post(
    '',
    {
      config,
      schema: {
        ...declared,
        querystring: recordQuery(mount, parameters),
        body: Ref(resource.create),
        response
      }
    },
    async (request, reply) =>
      await sendWritten(mount, request, reply, async () => {
        const { ctx, body } = request
        return await createOrMatch(mount, request, reply, () =>
          createRecord(mount, ctx, body as object)
        )
      })
  )
}

export function mountUpdate(mount: Mount): void {
  const { app, resource, service, schema, params } = mount
  if (!service.update || !resource.update) return
  const { name, label } = resource
  const one = withArticle(label)
  const effect =
    'Changes only the given fields: an absent field is unchanged; null or blank text clears a ' +
    'field. Fields that cannot be changed may be sent with their current value; any other value ' +
    'is a 409.'
  const contract = {
    params,
    querystring: recordQuery(mount),
    body: Ref(resource.update),
    headers: requestHeaders('if-match'),
    response: recordResponse(`The ${label}.`, Ref(schema))
  }
  const handler = updateHandler(mount)
  const put = operation(
    mount,
    'update',
    {
      operationId: `replace${pascalCase(name)}`,
      summary: `Update ${one} (PUT)`,
      description: `${effect} The same as PATCH.`
    },
    409,
    422
  )
  app.put('/:id', { config: put.config, schema: { ...put.schema, ...contract } }, handler)

  const patch = operation(
    mount,
    'update',
    {
      operationId: `update${pascalCase(name)}`,
      summary: `Update ${one}`,
      description: `${effect} Also accepts application/merge-patch+json (RFC 7396).`
    },
    409,
    422
  )
  const consumes = ['application/json', 'application/merge-patch+json']
  app.patch(
    '/:id',
    { config: patch.config, schema: { ...patch.schema, consumes, ...contract } },
    handler
  )
}

/** What PUT and PATCH do: fields that the caller cannot change may be repeated. */
const updateHandler = (mount: Mount) => async (request: FastifyRequest, reply: FastifyReply) => {
  const { ctx } = request
  const id = idOf(request)
  const versions = versionsOf(request)
  return await sendWritten(mount, request, reply, () =>
    updateRecord(mount, ctx, id, request.body as object, versions)
  )
}

export function mountRemove(mount: Mount): void {
  const { app, resource, service, params } = mount
  const { remove } = service
  if (!remove) return
  const { name, label } = resource
  const { config, schema } = operation(
    mount,
    'delete',
    {
      operationId: `delete${pascalCase(name)}`,
      summary: `Delete ${withArticle(label)}`,
      description:
        `Deletes the ${label}. It is no longer returned` +
        (service.restore ? ', but can be restored.' : '.')
    },
    409
  )
  const response = emptyResponse(204)
  app.delete(
    '/:id',
    { config, schema: { ...schema, params, headers: requestHeaders('if-match'), response } },
    async (request, reply) => {
      await remove(request.ctx, idOf(request), versionsOf(request))
      return reply.code(204).send()
    }
  )
}

export function mountRestore(mount: Mount): void {
  const { app, resource, service, schema, params } = mount
  const { restore } = service
  if (!restore) return
  const { name, label } = resource
  const { config, schema: declared } = operation(
    mount,
    'delete',
    {
      operationId: `restore${pascalCase(name)}`,
      summary: `Restore ${withArticle(label)}`,
      description: `Restores a deleted ${label}; one that is not deleted is unchanged.`
    },
    409
  )
  const response = recordResponse(`The ${label}.`, Ref(schema))
  app.post(
    '/:id/restore',
    { config, schema: { ...declared, params, querystring: recordQuery(mount), response } },
    async (request, reply) =>
      await sendWritten(mount, request, reply, () => restore(request.ctx, idOf(request)))
  )
}

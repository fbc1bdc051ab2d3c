import { Type, type Static, type TObject } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { assertPermission } from '../access/permissions.ts'
import type { RecordTable } from '../db/columns.ts'
import { relationsOf, type Owned } from '../records/include.ts'
import { ListQueryReader } from '../records/list-query.ts'
import { fixedFields, groupOf, serverSetFields, type Resource } from '../records/resource.ts'
import { declareFixedFields } from './bodies.ts'
import { groups } from '../access/permissions.ts'
import { withCompression } from './compression.ts'
import { defineTag } from './operations.ts'
import { recordQuery, sendWritten } from './presentation.ts'
import { serve } from './record-writes.ts'
import {
  sampleOf,
  withIncluded,
  type Mount,
  type Operations,
  type Service
} from './resource-mount.ts'
import { mountMembers } from './resource-members.ts'
import { mountGet, mountHistory, mountList } from './resource-reads.ts'
import { mountPutExternal } from './resource-upserts.ts'
import { mountCreate, mountRemove, mountRestore, mountUpdate } from './resource-writes.ts'
import { idParameter, type Identified } from './responses.ts'
import { PageOf } from './schema.ts'
import { declareServerSetFields } from './validation.ts'

/** For further routes that write a record of the resource and respond with it. */
export interface RecordResponses {
  /** Their query string. */
  recordQuery: TObject
  /** Carries out the write and sends its record. Errors: those of the write, 403. */
  sendWritten: (
    request: FastifyRequest,
    reply: FastifyReply,
    write: () => Promise<Identified>
  ) => Promise<FastifyReply>
}

const extensions: ((mount: Mount) => void)[] = []

/** Adds routes to every resource: those of a module that works on records of any type. */
export function extendResources(extension: (mount: Mount) => void): void {
  extensions.push(extension)
}

/**
 * Mounts a route for each operation that the service has. `owned` are related records that no
 * field of the record refers to, by the names that `include` knows them by.
 */
export async function resourceRoutes<S extends TObject, N extends TObject, C extends TObject>(
  app: FastifyInstance,
  resource: Pick<Resource<RecordTable, string, S, N, C>, keyof Resource>,
  service: Operations<Static<S>, Static<N>, Static<C>>,
  owned: Record<string, Owned> = {}
): Promise<RecordResponses> {
  return await mount(app, resource, service as unknown as Service, owned)
}

async function mount(
  app: FastifyInstance,
  resource: Resource,
  service: Service,
  owned: Record<string, Owned>
): Promise<RecordResponses> {
  const { schema = Type.Object({}), create, update, path, description } = resource
  const relations = { ...relationsOf(resource), ...owned }
  for (const { permission } of Object.values(relations)) assertPermission(permission)
  for (const one of [withIncluded(schema, relations), PageOf(schema), create, update])
    if (one?.$id) app.addSchema(one)
  if (create?.$id) declareServerSetFields(create.$id, serverSetFields(resource))
  if (update?.$id) declareFixedFields(update.$id, fixedFields(resource))
  if (description !== undefined) defineTag(path, `${description} ${grantText(resource)}`)
  const shared: Mount = {
    app,
    resource,
    service,
    schema,
    relations,
    query: new ListQueryReader({ ...resource, schema, include: Object.keys(relations) }),
    params: idParameter(sampleOf(schema).id)
  }
  serve(shared)
  await withCompression(app, app => {
    mountList({ ...shared, app })
  })
  // before it is read: the examples of the document work in its order
  mountPutExternal(shared)
  mountGet(shared)
  mountCreate(shared)
  mountUpdate(shared)
  mountRemove(shared)
  mountRestore(shared)
  mountMembers(shared)
  for (const extension of extensions) extension(shared)
  await withCompression(app, app => {
    mountHistory({ ...shared, app })
  })
  return {
    recordQuery: recordQuery(shared),
    sendWritten: (request, reply, write) => sendWritten(shared, request, reply, write)
  }
}

/** How the grants of roles name a resource. */
function grantText(resource: Resource): string {
  const group = groups.find(group => group === groupOf(resource))
  return `In the grants of roles: \`${resource.path}\`${group ? `, one of \`${group}\`` : ''}.`
}

import { Type, type Static, type TObject } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { assertPermission } from '../access/permissions.ts'
import type { RecordTable } from '../db/columns.ts'
import { relationsOf, type Owned } from '../records/include.ts'
import { ListQueryReader } from '../records/list-query.ts'
import { fixedFields, serverSetFields, type Resource } from '../records/resource.ts'
import { declareFixedFields } from './bodies.ts'
import { withCompression } from './compression.ts'
import { defineTag } from './operations.ts'
import {
  sampleOf,
  withIncluded,
  type Mount,
  type Operations,
  type Service
} from './resource-mount.ts'
import { mountGet, mountHistory, mountList } from './resource-reads.ts'
import { mountCreate, mountRemove, mountRestore, mountUpdate } from './resource-writes.ts'
import { idParameter } from './responses.ts'
import { PageOf } from './schema.ts'
import { declareServerSetFields } from './validation.ts'

/**
 * Mounts a route for each operation that the service has. `owned` are related records that no
 * field of the record refers to, by the names that `include` knows them by.
 */
export async function resourceRoutes<S extends TObject, N extends TObject, C extends TObject>(
  app: FastifyInstance,
  resource: Pick<Resource<RecordTable, string, S, N, C>, keyof Resource>,
  service: Operations<Static<S>, Static<N>, Static<C>>,
  owned: Record<string, Owned> = {}
): Promise<void> {
  await mount(app, resource, service as unknown as Service, owned)
}

async function mount(
  app: FastifyInstance,
  resource: Resource,
  service: Service,
  owned: Record<string, Owned>
): Promise<void> {
  const { schema = Type.Object({}), create, update, path, description } = resource
  const relations = { ...relationsOf(resource), ...owned }
  for (const { permission } of Object.values(relations)) assertPermission(permission)
  for (const one of [withIncluded(schema, relations), PageOf(schema), create, update])
    if (one?.$id) app.addSchema(one)
  if (create?.$id) declareServerSetFields(create.$id, serverSetFields(resource))
  if (update?.$id) declareFixedFields(update.$id, fixedFields(resource))
  if (description !== undefined) defineTag(path, description)
  const shared: Mount = {
    app,
    resource,
    service,
    schema,
    relations,
    query: new ListQueryReader({ ...resource, schema, include: Object.keys(relations) }),
    params: idParameter(sampleOf(schema).id)
  }
  await withCompression(app, app => {
    mountList({ ...shared, app })
  })
  mountGet(shared)
  mountCreate(shared)
  mountUpdate(shared)
  mountRemove(shared)
  mountRestore(shared)
  await withCompression(app, app => {
    mountHistory({ ...shared, app })
  })
}

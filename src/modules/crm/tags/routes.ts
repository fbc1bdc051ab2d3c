import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { crud } from '../../../core/http/resource-routes.ts'
import { NewTag, Tag, TagChanges } from './schema.ts'
import * as tags from './service.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  crud(app, tags, {
    one: 'tag',
    many: 'tags',
    record: Tag,
    create: NewTag,
    update: TagChanges,
    filter: ['id', 'name', 'created_at', 'updated_at'],
    sort: ['id', 'name', 'created_at', 'updated_at']
  })
}

export default routes

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import { tagResource } from './resource.ts'
import { tagService } from './service.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  await resourceRoutes(app, tagResource, tagService)
}

export default routes

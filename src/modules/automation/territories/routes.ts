import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import { territoryResource } from './resource.ts'
import { territoryService } from './service.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  await resourceRoutes(app, territoryResource, territoryService)
}

export default routes

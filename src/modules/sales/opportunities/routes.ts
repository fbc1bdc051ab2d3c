import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import { opportunityResource } from './resource.ts'
import { opportunityService } from './service.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  await resourceRoutes(app, opportunityResource, opportunityService)
}

export default routes

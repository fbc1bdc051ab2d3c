import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import { teamResource } from './resource.ts'
import { teamService } from './service.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  await resourceRoutes(app, teamResource, teamService)
}

export default routes

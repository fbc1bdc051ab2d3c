import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import { assignmentRuleResource } from './resource.ts'
import { assignmentRuleService } from './service.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  await resourceRoutes(app, assignmentRuleResource, assignmentRuleService)
}

export default routes

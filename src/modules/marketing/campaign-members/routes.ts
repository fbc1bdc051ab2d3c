import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import { campaignMemberResource } from './resource.ts'
import { campaignMemberService } from './service.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  await resourceRoutes(app, campaignMemberResource, campaignMemberService)
}

export default routes

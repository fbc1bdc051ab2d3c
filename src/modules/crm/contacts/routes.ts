import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import { ActivityList, ActivitySummary } from '../activities/schema.ts'
import { contactResource } from './resource.ts'
import { contactService } from './service.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  app.addSchema(ActivitySummary)
  await resourceRoutes(app, contactResource, contactService, {
    activities: {
      load: contactService.recentActivities,
      schema: ActivityList,
      permission: 'activities:read'
    }
  })
}

export default routes

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import { activityResource } from '../activities/resource.ts'
import { ActivityList, ActivitySummary } from '../activities/schema.ts'
import { activities } from '../activities/table.ts'
import { contactResource } from './resource.ts'
import { contactService } from './service.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  app.addSchema(ActivitySummary)
  await resourceRoutes(app, contactResource, contactService, {
    activities: {
      of: activityResource,
      reads: [activities.links],
      load: contactService.recentActivities,
      schema: ActivityList,
      permission: 'activities:read'
    }
  })
}

export default routes

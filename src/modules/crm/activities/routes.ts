import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { versionsOf } from '../../../core/http/preconditions.ts'
import { crud } from '../../../core/http/resource-routes.ts'
import { answer, byId, conditions, idOf, sendRecord } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { TagList } from '../tags/schema.ts'
import * as tags from '../tags/service.ts'
import { UserSummary } from '../../identity/users/schema.ts'
import { findSummaries } from '../../identity/users/service.ts'
import {
  Activity,
  ActivityChanges,
  activityFilter,
  activityScopes,
  Completion,
  NewActivity
} from './schema.ts'
import * as activities from './service.ts'
import { searchable } from './table.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  crud(app, activities, {
    one: 'activity',
    many: 'activities',
    record: Activity,
    create: NewActivity,
    update: ActivityChanges,
    filter: activityFilter,
    scopes: activityScopes,
    search: searchable,
    sort: ['id', 'due_at', 'completed_at', 'created_at', 'updated_at'],
    include: {
      assigned_to: { by: 'assigned_to', find: findSummaries, record: Ref(UserSummary) },
      tags: { by: 'tags', find: tags.find, record: TagList, permission: 'tags:read' }
    }
  })

  app.addSchema(Completion)
  app.post(
    '/:id/completion',
    {
      config: { permission: 'activities:write' },
      schema: {
        operationId: 'completeActivity',
        summary: 'Complete an activity',
        tags: ['activities'],
        description:
          'The activity is done. One that is completed already stays as it is; one that was cancelled is planned anew first (409).',
        params: byId(),
        body: Ref(Completion),
        headers: conditions(['if-match']),
        response: answer(200, 'The activity as it is now.', Ref(Activity))
      }
    },
    async (request, reply) =>
      sendRecord(
        reply,
        await activities.complete(request.ctx, idOf(request), request.body, versionsOf(request))
      )
  )
}

export default routes

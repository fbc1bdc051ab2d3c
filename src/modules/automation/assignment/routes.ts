import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { crud } from '../../../core/http/resource-routes.ts'
import { Ref } from '../../../core/http/schema.ts'
import { Team } from '../teams/schema.ts'
import * as teams from '../teams/service.ts'
import { UserSummary } from '../../identity/users/schema.ts'
import { findSummaries } from '../../identity/users/service.ts'
import { AssignmentRule, AssignmentRuleChanges, NewAssignmentRule } from './schema.ts'
import * as rules from './service.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  crud(app, rules, {
    one: 'assignment rule',
    many: 'assignment rules',
    record: AssignmentRule,
    create: NewAssignmentRule,
    update: AssignmentRuleChanges,
    filter: [
      'id',
      'resource',
      'status',
      'position',
      'user_id',
      'team_id',
      'created_at',
      'updated_at'
    ],
    sort: ['id', 'position', 'created_at', 'updated_at'],
    include: {
      user: { by: 'user_id', find: findSummaries, record: Ref(UserSummary) },
      team: { by: 'team_id', find: teams.find, record: Ref(Team), permission: 'teams:read' }
    }
  })
}

export default routes

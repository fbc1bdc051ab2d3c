import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { crud } from '../../../core/http/resource-routes.ts'
import { Ref } from '../../../core/http/schema.ts'
import { UserSummary } from '../../identity/users/schema.ts'
import { findSummaries } from '../../identity/users/service.ts'
import { NewTeam, Team, TeamChanges } from './schema.ts'
import * as teams from './service.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  crud(app, teams, {
    one: 'team',
    many: 'teams',
    record: Team,
    create: NewTeam,
    update: TeamChanges,
    filter: ['id', 'name', 'leader_id', 'created_at', 'updated_at'],
    sort: ['id', 'name', 'created_at', 'updated_at'],
    include: {
      leader: { by: 'leader_id', find: findSummaries, record: Ref(UserSummary) },
      members: {
        by: 'member_ids',
        find: findSummaries,
        record: Type.Array(Ref(UserSummary), { maxItems: 200 })
      }
    }
  })
}

export default routes

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { crud } from '../../../core/http/resource-routes.ts'
import { Ref } from '../../../core/http/schema.ts'
import { Team } from '../teams/schema.ts'
import * as teams from '../teams/service.ts'
import { NewTerritory, Territory, TerritoryChanges } from './schema.ts'
import * as territories from './service.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  crud(app, territories, {
    one: 'territory',
    many: 'territories',
    record: Territory,
    create: NewTerritory,
    update: TerritoryChanges,
    filter: ['id', 'name', 'team_id', 'created_at', 'updated_at'],
    sort: ['id', 'name', 'created_at', 'updated_at'],
    include: {
      team: { by: 'team_id', find: teams.find, record: Ref(Team), permission: 'teams:read' }
    }
  })
}

export default routes

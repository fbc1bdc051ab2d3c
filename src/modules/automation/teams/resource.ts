import { sql } from '../../../core/db/drizzle.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { users } from '../../identity/users/table.ts'
import { NewTeam, Team, TeamChanges } from './schema.ts'
import { filterable, teams } from './table.ts'

export const teamResource = defineResource({
  name: 'team',
  plural: 'teams',
  description: 'Users who share work. Managed by admins.',
  table: teams,
  schema: Team,
  create: NewTeam,
  update: TeamChanges,
  filters: ['id', ...filterable],
  sorts: ['id', 'name', 'created_at', 'updated_at'],
  include: {
    leader: 'leader_id',
    parent: 'parent_team_id',
    members: { ids: 'member_ids', of: users }
  },
  title: sql`${teams.name}`,
  access: 'settings'
})

import { sql } from '../../../core/db/drizzle.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { teams } from '../../automation/teams/table.ts'
import { Invitation, NewInvitation } from './schema.ts'
import { filterable, invitations } from './table.ts'

export const invitationResource = defineResource({
  name: 'invitation',
  plural: 'invitations',
  description:
    'Invitations to become a user that nobody has accepted yet. Managed by admins. Deleting one ' +
    'withdraws it: its token is no longer accepted.',
  table: invitations,
  schema: Invitation,
  create: NewInvitation,
  filters: ['id', ...filterable, 'role_ids', 'team_ids'],
  sorts: ['id', ...filterable],
  hidden: ['token_hash'],
  include: { teams: { ids: 'team_ids', of: teams } },
  title: sql`${invitations.email}`,
  access: 'administration'
})

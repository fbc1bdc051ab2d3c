import { Type } from '@sinclair/typebox'
import { Change, Creation, Id, Name, Nullable, RecordOf } from '../../../core/http/schema.ts'
import { maxMembers } from './table.ts'

const fields = {
  name: Name(100, { description: 'Name, unique regardless of case.', example: 'Inside sales' }),
  leader_id: Nullable(Id({ description: 'User who leads the team.', example: 1 })),
  member_ids: Type.Array(Id(), {
    maxItems: maxMembers,
    uniqueItems: true,
    description: 'User IDs of the members, in the order in which they take turns.',
    example: [1]
  }),
  parent_team_id: Nullable(
    Id({
      description:
        'Team that this one belongs to: what its members reach as a team includes the records ' +
        'of this one.',
      example: null
    })
  )
}

export const Team = RecordOf('Team', 'Users who share work.', fields)
export const NewTeam = Creation('NewTeam', fields, ['name'], {
  name: 'Inside sales',
  leader_id: 1,
  member_ids: [1]
})
export const TeamChanges = Change('TeamChanges', fields, { name: 'Inside sales', member_ids: [1] })

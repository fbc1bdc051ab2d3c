import { Type } from '@sinclair/typebox'
import { Id, Instant, Nullable, OneOf, PageOf } from '../../../core/http/schema.ts'
import { shareAccess } from './table.ts'

const fields = {
  user_id: Nullable(
    Id({ description: 'User who it is shared with. Either a user or a team.', example: 1 })
  ),
  team_id: Nullable(
    Id({
      description: 'Team to share it with: its members, and those of the teams above it.',
      example: null
    })
  ),
  access: OneOf(shareAccess, {
    description:
      'Access level. read: view the record; write: also change it. It allows nothing that the ' +
      'roles of the user do not allow for other records.',
    example: 'read'
  })
}

export const Share = Type.Object(
  {
    id: Id({ description: 'Share ID.', example: 1 }),
    ...fields,
    created_at: Instant({ description: 'Creation time.', example: '2026-11-27T09:00:00.000Z' }),
    created_by: Nullable(Id({ description: 'User who shared the record.', example: 1 }))
  },
  {
    $id: 'Share',
    additionalProperties: false,
    description: 'A user or team that a record is shared with.'
  }
)

export const NewShare = Type.Object(
  {
    user_id: Type.Optional(fields.user_id),
    team_id: Type.Optional(fields.team_id),
    access: fields.access
  },
  {
    $id: 'NewShare',
    additionalProperties: false,
    description: 'Whom to share a record with.',
    example: { user_id: 1, access: 'read' }
  }
)

export const SharePage = PageOf(Share)

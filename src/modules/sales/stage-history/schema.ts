import { Type } from '@sinclair/typebox'
import { Count, Id, Instant, Nullable, PageOf, Text } from '../../../core/http/schema.ts'

export const Move = Type.Object(
  {
    id: Id({ description: 'The number of the move.', example: 1 }),
    pipeline_id: Nullable(
      Id({ description: 'The pipeline it came to; null for a lead.', example: 1 })
    ),
    from_stage: Nullable(
      Text(50, {
        description: 'The stage it left, of a lead its status; null at the beginning.',
        example: 'prospecting'
      })
    ),
    to_stage: Text(50, {
      description: 'The stage it came to, of a lead its status.',
      example: 'proposal'
    }),
    moved_at: Instant({ description: 'When it moved.', example: '2026-11-22T09:00:00.000Z' }),
    actor_id: Nullable(
      Id({ description: 'The user who moved it; null for the system.', example: 1 })
    ),
    seconds: Nullable(
      Count({
        format: 'int64',
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'How long it had been in the stage it left; null at the beginning.',
        example: 86400
      })
    )
  },
  { $id: 'Move', additionalProperties: false, description: 'A step from one stage to the next.' }
)

export const MovePage = PageOf(Move)

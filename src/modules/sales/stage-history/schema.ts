import { Type } from '@sinclair/typebox'
import { Count, Id, Instant, Nullable, PageOf, Text } from '../../../core/http/schema.ts'

export const Transition = Type.Object(
  {
    id: Id({ description: 'Transition ID.', example: 1 }),
    pipeline_id: Nullable(Id({ description: 'Pipeline entered; null for a lead.', example: 1 })),
    from_stage: Nullable(
      Text(50, {
        description: 'Previous stage (for a lead, status); null for the first transition.',
        example: 'prospecting'
      })
    ),
    to_stage: Text(50, {
      description: 'New stage (for a lead, status).',
      example: 'proposal'
    }),
    moved_at: Instant({
      description: 'Time of the transition.',
      example: '2026-11-22T09:00:00.000Z'
    }),
    actor_id: Nullable(
      Id({ description: 'User who made the transition; null for the system.', example: 1 })
    ),
    seconds: Nullable(
      Count({
        format: 'int64',
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'Seconds spent in the previous stage; null for the first transition.',
        example: 86400
      })
    )
  },
  { $id: 'Move', additionalProperties: false, description: 'A transition between stages.' }
)

export const TransitionPage = PageOf(Transition)

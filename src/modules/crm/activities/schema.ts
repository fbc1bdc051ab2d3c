import { Type } from '@sinclair/typebox'
import { ExternalIds } from '../../../core/http/external-ids.ts'
import {
  Change,
  Count,
  Creation,
  hasPartial,
  Id,
  Instant,
  Name,
  Nullable,
  OneOf,
  RecordOf,
  Ref,
  Text
} from '../../../core/http/schema.ts'
import { TagIds } from '../tags/schema.ts'
import { linkable, priorities, statuses, types } from './table.ts'

const Link = Type.Object(
  {
    type: OneOf(linkable, { description: 'Type of record.', example: 'contact' }),
    id: Id({ description: 'Record ID.', example: 1 })
  },
  { additionalProperties: false }
)

const fields = {
  type: OneOf(types, { description: 'Type of activity.', example: 'call' }),
  subject: Name(200, { description: 'Subject.', example: 'Ask about the budget' }),
  description: Nullable(
    Text(10_000, { description: 'Description or notes.', example: 'Decision expected in March.' })
  ),
  status: OneOf(statuses, { description: 'Status.', example: 'planned' }),
  priority: OneOf(priorities, {
    default: 'medium',
    description: 'Priority.',
    example: 'high'
  }),
  due_at: Nullable(
    Instant({ description: 'Due date and time.', example: '2026-12-01T09:00:00.000Z' })
  ),
  completed_at: Nullable(
    Instant({ description: 'Time when the activity was completed; null otherwise.', example: null })
  ),
  duration_minutes: Nullable(
    Count({ description: 'Duration in minutes, planned or actual.', example: 30 })
  ),
  location: Nullable(Text(255, { description: 'Location.', example: 'By phone' })),
  assigned_to: Nullable(Id({ description: 'User assigned to the activity.', example: 1 })),
  links: Type.Array(Link, {
    maxItems: 50,
    description:
      'Records that the activity is linked to. Through a converted lead it is also among the ' +
      'activities of the records that the lead was converted into.',
    example: [{ type: 'contact', id: 1 }]
  }),
  tags: TagIds(),
  external_ids: ExternalIds()
}
/** Fields whose description differs for requests. */
const requested = {
  status: {
    ...fields.status,
    description: 'Status. Default: completed for a note or with `completed_at`, otherwise planned.'
  },
  completed_at: {
    ...fields.completed_at,
    description:
      'Time when the activity was completed; only allowed if it is completed. Default: now. Any ' +
      'other status clears it.'
  }
}

export const Activity = RecordOf('Activity', 'A call, email, meeting, task or note.', fields)
export const NewActivity = Creation(
  'NewActivity',
  { ...fields, ...requested },
  ['type', 'subject'],
  {
    type: 'call',
    subject: 'Ask about the budget',
    due_at: '2026-12-01T09:00:00.000Z',
    priority: 'high',
    assigned_to: 1,
    links: [{ type: 'contact', id: 1 }]
  }
)
export const ActivityChanges = Change(
  'ActivityChanges',
  { ...fields, completed_at: requested.completed_at },
  { due_at: '2026-12-02T09:00:00.000Z' }
)

/** A completion. All of it may be omitted, the body as well. */
export const Completion = Nullable(
  Type.Object(
    {
      completed_at: Type.Optional(
        Instant({
          description: 'Time when the activity was completed; not in the future. Default: now.',
          example: '2026-11-22T09:00:00.000Z'
        })
      ),
      duration_minutes: Type.Optional(
        Count({ description: 'Actual duration in minutes. Default: unchanged.', example: 20 })
      ),
      description: Type.Optional(
        Text(10_000, {
          description: 'Description or notes. Default: unchanged.',
          example: 'Decision expected in March.'
        })
      )
    },
    {
      $id: 'Completion',
      additionalProperties: false,
      description: 'The completion of an activity.'
    }
  )
)

/** The activities of a record, for `include=activities`. */
export const ActivitySummary = Type.Omit(Activity, ['description'], {
  $id: 'ActivitySummary',
  additionalProperties: false,
  description: 'An activity without its description.',
  [hasPartial]: true
})
export const ActivityList = Type.Array(Ref(ActivitySummary), {
  maxItems: 20,
  description: 'The newest activities, at most 20.'
})

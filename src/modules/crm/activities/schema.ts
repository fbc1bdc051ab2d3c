import { Type } from '@sinclair/typebox'
import { filterLanguage } from '../../../core/records/list-query.ts'
import {
  Change,
  Count,
  Creation,
  Id,
  Instant,
  Name,
  Nullable,
  OneOf,
  RecordOf,
  Ref,
  TagIds,
  Text
} from '../../../core/http/schema.ts'
import { linkable, priorities, searchable, statuses, types } from './table.ts'

const Link = Type.Object(
  {
    type: OneOf(linkable, { description: 'The kind of record.', example: 'contact' }),
    id: Id({ description: 'Its number.', example: 1 })
  },
  { additionalProperties: false }
)

const fields = {
  type: OneOf(types, { description: 'What is done.', example: 'call' }),
  subject: Name(200, { description: 'What it is about.', example: 'Ask about the budget' }),
  description: Nullable(
    Text(10_000, { description: 'What is to be said, or what was.', example: 'Decides in March.' })
  ),
  status: OneOf(statuses, { description: 'How far it is.', example: 'planned' }),
  priority: OneOf(priorities, {
    default: 'medium',
    description: 'How much it matters.',
    example: 'high'
  }),
  due_at: Nullable(
    Instant({ description: 'When it is to be done.', example: '2026-12-01T09:00:00.000Z' })
  ),
  completed_at: Nullable(
    Instant({ description: 'When it was done; null unless it is completed.', example: null })
  ),
  duration_minutes: Nullable(Count({ description: 'How long it takes or took.', example: 30 })),
  location: Nullable(Text(255, { description: 'Where it takes place.', example: 'By telephone' })),
  assigned_to: Nullable(Id({ description: 'The user who does it.', example: 1 })),
  links: Type.Array(Link, {
    maxItems: 50,
    description: 'The records it is about, each of them once.',
    example: [{ type: 'contact', id: 1 }]
  }),
  tags: TagIds()
}
/** What is said of some fields only to those who write them. */
const written = {
  status: {
    ...fields.status,
    description: `${fields.status.description} Default: completed for a note or with \`completed_at\`, else planned.`
  },
  completed_at: {
    ...fields.completed_at,
    description:
      'When it was done, now if absent; only of a completed activity. Becomes null with another status.'
  }
}

export const Activity = RecordOf(
  'Activity',
  'A call, an e-mail, a meeting, a task or a note.',
  fields
)
export const NewActivity = Creation('NewActivity', { ...fields, ...written }, ['type', 'subject'], {
  type: 'call',
  subject: 'Ask about the budget',
  due_at: '2026-12-01T09:00:00.000Z',
  priority: 'high',
  assigned_to: 1,
  links: [{ type: 'contact', id: 1 }]
})
export const ActivityChanges = Change(
  'ActivityChanges',
  { ...fields, completed_at: written.completed_at },
  { due_at: '2026-12-02T09:00:00.000Z' }
)

/** How a completion may be told; all of it may be left out, the body as well. */
export const Completion = Nullable(
  Type.Object(
    {
      completed_at: Type.Optional(
        Instant({
          description: 'When it was done, not later than now. Default: now.',
          example: '2026-11-22T09:00:00.000Z'
        })
      ),
      duration_minutes: Type.Optional(
        Count({ description: 'How long it took; absent: as it was.', example: 20 })
      ),
      description: Type.Optional(
        Text(10_000, {
          description: 'What came of it; absent: as it was.',
          example: 'Decides in March.'
        })
      )
    },
    {
      $id: 'Completion',
      additionalProperties: false,
      description: 'How an activity was completed.'
    }
  )
)

/** The activities of a record, where `include=activities` asks for them. */
export const ActivitySummary = Type.Omit(Activity, ['description'], {
  $id: 'ActivitySummary',
  additionalProperties: false,
  description: 'An activity without its description, which may be long.'
})
export const ActivityList = Type.Array(Ref(ActivitySummary), {
  maxItems: 20,
  description: 'The newest first, 20 of them at the most.'
})

export const activityFilter = [
  'id',
  'type',
  'status',
  'priority',
  'due_at',
  'completed_at',
  'assigned_to',
  'tags',
  'created_at',
  'updated_at'
] as const
export const activityScopes = {
  contact_id: Id({ description: 'It is linked to this contact.' }),
  lead_id: Id({ description: 'It is linked to this lead.' }),
  account_id: Id({ description: 'It is linked to this account.' }),
  opportunity_id: Id({ description: 'It is linked to this opportunity.' }),
  overdue: Type.Boolean({ description: 'It is planned or in progress, and `due_at` is past.' }),
  mine: Type.Boolean({ description: 'It is assigned to who asks.' })
}
export const activityLanguage = filterLanguage({
  record: Activity,
  filter: activityFilter,
  search: searchable,
  scopes: activityScopes
})

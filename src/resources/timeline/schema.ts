import { Type } from '@sinclair/typebox'
import { Id, Instant, Nullable, OneOf, PageOf, Ref, Text } from '../../kit/schema.ts'
import { Activity } from '../activities/schema.ts'
import { UserSummary } from '../users/schema.ts'

export const kinds = ['activity', 'change', 'link'] as const
export const linked = ['contact', 'lead', 'account', 'opportunity', 'campaign'] as const

const person = (description: string) => Nullable(Type.Object(UserSummary.properties, { additionalProperties: false, description, example: { id: 1, username: 'maria' } }))
const value = (description: string, example: unknown) => Type.Unknown({ description, example })

const FieldChange = Type.Object({
  field: Text(63, { description: 'The name of the field.', example: 'assigned_to' }),
  from: value('Its value before, as it is in the record.', 1),
  to: value('Its value after, as it is in the record.', 2),
  from_text: Nullable(Text(20_000, { description: 'The value before, for a person: the name of what it points at.', example: 'maria' })),
  to_text: Nullable(Text(20_000, { description: 'The value after, for a person.', example: 'peter' }))
}, { additionalProperties: false })

const Link = Type.Object({
  type: OneOf(linked, { description: 'The kind of record.', example: 'lead' }),
  id: Id({ description: 'Its number.', example: 1 }),
  name: Text(400, { description: 'What it is called.', example: 'John Doe, website' })
}, { additionalProperties: false })

export const TimelineEntry = Type.Object({
  id: Text(80, { description: 'What tells the entry from all others of this timeline.', example: 'activity 1' }),
  at: Instant({ description: 'When it happened. An activity happens when it is completed, or else when it is made.', example: '2026-11-22T09:00:00.000Z' }),
  kind: OneOf(kinds, { description: 'An activity, a change of the record, or a record that points at it.', example: 'activity' }),
  title: Text(1000, { description: 'What happened, in a sentence.', example: 'Call planned: Ask about the budget' }),
  actor: person('The user who did it; null for the system.'),
  activity: Type.Optional(Ref(Activity)),
  assigned_to: Type.Optional(person('Whose activity it is.')),
  changes: Type.Optional(Type.Array(FieldChange, { maxItems: 200, description: 'The fields that changed; none if the record was created, deleted or restored.' })),
  links: Type.Optional(Type.Array(Link, { maxItems: 50, description: 'The records of the activity, or the one that points at this record.' }))
}, { $id: 'TimelineEntry', additionalProperties: false, description: 'Something that happened to a record: `activity`, `assigned_to` and `links` tell of an activity, `changes` of a change, `links` of a link.' })

export const Timeline = PageOf(TimelineEntry)

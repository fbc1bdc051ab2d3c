import { Type, type Static, type TProperties } from '@sinclair/typebox'
import { capital } from '../../../core/http/responses.ts'
import { Id, Instant, Nullable, OneOf, PageOf, Ref, Text } from '../../../core/http/schema.ts'
import { Activity } from '../activities/schema.ts'
import { UserSummary } from '../../identity/users/schema.ts'

export const kinds = ['activity', 'change', 'link'] as const
export const linked = ['contact', 'lead', 'account', 'opportunity', 'campaign'] as const

const person = (description: string) =>
  Nullable(
    Type.Object(UserSummary.properties, {
      additionalProperties: false,
      description,
      example: { id: 1, username: 'maria' }
    })
  )
const value = (description: string, example: unknown) => Type.Unknown({ description, example })

const FieldChange = Type.Object(
  {
    field: Text(63, { description: 'The name of the field.', example: 'assigned_to' }),
    from: value('Its value before, as it is in the record.', 1),
    to: value('Its value after, as it is in the record.', 2),
    from_text: Nullable(
      Text(20_000, {
        description: 'The value before, for a person: the name of what it points at.',
        example: 'maria'
      })
    ),
    to_text: Nullable(
      Text(20_000, { description: 'The value after, for a person.', example: 'peter' })
    )
  },
  { additionalProperties: false }
)

const Link = Type.Object(
  {
    type: OneOf(linked, { description: 'The kind of record.', example: 'lead' }),
    id: Id({ description: 'Its number.', example: 1 }),
    name: Text(400, { description: 'What it is called.', example: 'John Doe, website' })
  },
  { additionalProperties: false }
)

/** What every entry says, and what one of its `kind` says besides; `id` and `title` are those of the example. */
const Entry = <const K extends (typeof kinds)[number], P extends TProperties>(
  kind: K,
  id: string,
  title: string,
  description: string,
  fields: P
) =>
  Type.Object(
    {
      id: Text(80, {
        description: 'What tells the entry from all others of this timeline.',
        example: id
      }),
      at: Instant({
        description:
          'When it happened. An activity happens when it is completed, or else when it is made.',
        example: '2026-11-22T09:00:00.000Z'
      }),
      kind: OneOf([kind], { description: 'What tells the kinds of entries apart.', example: kind }),
      title: Text(1000, { description: 'What happened, in a sentence.', example: title }),
      actor: person('The user who did it; null for the system.'),
      ...fields
    },
    { $id: nameOf(kind), additionalProperties: false, description }
  )
const nameOf = (kind: string) => `${capital(kind)}Entry`

const links = (maxItems: number, description: string) => Type.Array(Link, { maxItems, description })

const ActivityEntry = Entry(
  'activity',
  'activity 1',
  'Call planned: Ask about the budget',
  'An activity that the record is linked to.',
  {
    activity: Ref(Activity),
    assigned_to: person('Whose activity it is.'),
    links: links(50, 'All records of the activity.')
  }
)
const ChangeEntry = Entry(
  'change',
  'change 1',
  'Stage changed from Prospecting to Negotiation',
  'A change of the record.',
  {
    changes: Type.Array(FieldChange, {
      maxItems: 200,
      description: 'The fields that changed; none if the record was created, deleted or restored.'
    })
  }
)
const LinkEntry = Entry(
  'link',
  'lead 1',
  'Lead added: John Doe, website',
  'A record that points at this one.',
  {
    links: links(1, 'The record that points at this one.')
  }
)
export const entries = [ActivityEntry, ChangeEntry, LinkEntry] as const

export const TimelineEntry = Type.Unsafe<Static<(typeof entries)[number]>>({
  $id: 'TimelineEntry',
  description: 'Something that happened to a record; `kind` says which kind of entry it is.',
  oneOf: entries.map(Ref),
  discriminator: {
    propertyName: 'kind',
    mapping: Object.fromEntries(kinds.map(kind => [kind, `#/components/schemas/${nameOf(kind)}`]))
  }
})

export const Timeline = PageOf(TimelineEntry)

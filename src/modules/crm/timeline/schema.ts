import { Type, type Static, type TObject, type TProperties } from '@sinclair/typebox'
import { Id, Instant, Nullable, OneOf, PageOf, Ref, Text } from '../../../core/http/schema.ts'
import { pascalCase } from '../../../core/names.ts'
import { UserSummary } from '../../identity/users/schema.ts'
import { Activity } from '../activities/schema.ts'

export const kinds = ['activity', 'change', 'link'] as const
export type Kind = (typeof kinds)[number]

interface Person {
  id: number
  username: string
}
interface Link {
  type: string
  id: number
  name: string
}
interface FieldChange {
  field: string
  from: unknown
  to: unknown
  from_text: string | null
  to_text: string | null
}
interface EntryOf<K extends Kind> {
  id: string
  at: string
  kind: K
  title: string
  actor: Person | null
}

/** Something that happened to a record. */
export type Entry =
  | (EntryOf<'activity'> & {
      activity: Static<typeof Activity>
      assigned_to: Person | null
      links: Link[]
    })
  | (EntryOf<'change'> & { changes: FieldChange[]; operation_id: number | null })
  | (EntryOf<'link'> & { links: Link[] })

const person = (description: string) =>
  Nullable(
    Type.Pick(UserSummary, ['id', 'username'], {
      additionalProperties: false,
      description,
      example: { id: 1, username: 'maria' }
    })
  )

const FieldChange = Type.Object(
  {
    field: Text(63, { description: 'Name of the field.', example: 'assigned_to' }),
    from: Type.Unknown({ description: 'Previous value, as in the record.', example: 1 }),
    to: Type.Unknown({ description: 'New value, as in the record.', example: 2 }),
    from_text: Nullable(
      Text(20_000, {
        description: 'Previous value as readable text, with names instead of IDs.',
        example: 'maria'
      })
    ),
    to_text: Nullable(
      Text(20_000, {
        description: 'New value as readable text, with names instead of IDs.',
        example: 'peter'
      })
    )
  },
  { additionalProperties: false }
)

const entryName = (kind: Kind) => `${pascalCase(kind)}Entry`

/** The schema of one kind of entry; `id` and `title` are those of the example. */
const entrySchema = (
  kind: Kind,
  description: string,
  { id, title }: { id: string; title: string },
  fields: TProperties
): TObject =>
  Type.Object(
    {
      id: Text(80, { description: 'ID of the entry, unique in its timeline.', example: id }),
      at: Instant({
        description:
          'Time of the entry; for an activity, its completion or, if not completed, its ' +
          'creation.',
        example: '2026-11-22T09:00:00.000Z'
      }),
      kind: OneOf([kind], { description: 'Kind of entry.', example: kind }),
      title: Text(1000, { description: 'Summary of what happened.', example: title }),
      actor: person('User who caused the entry; null for the system.'),
      ...fields
    },
    { $id: entryName(kind), additionalProperties: false, description }
  )

/** The schemas of timelines that link to records of these types. */
export function timelineSchemas(linkedTypes: readonly string[]) {
  const Link = Type.Object(
    {
      type: OneOf(linkedTypes, { description: 'Type of record.', example: 'lead' }),
      id: Id({ description: 'Record ID.', example: 1 }),
      name: Text(400, { description: 'Name of the record.', example: 'John Doe, website' })
    },
    { additionalProperties: false }
  )
  const links = (maxItems: number, description: string) =>
    Type.Array(Link, { maxItems, description })
  const entries = [
    entrySchema(
      'activity',
      'An activity linked to the record.',
      { id: 'activity 1', title: 'Call planned: Ask about the budget' },
      {
        activity: Ref(Activity),
        assigned_to: person('User assigned to the activity.'),
        links: links(50, 'All records linked to the activity.')
      }
    ),
    entrySchema(
      'change',
      'A change to the record.',
      { id: 'change 1', title: 'Stage changed from Prospecting to Negotiation' },
      {
        changes: Type.Array(FieldChange, {
          maxItems: 200,
          description: 'Fields that changed; empty if the record was created, deleted or restored.'
        }),
        operation_id: Nullable(
          Id({
            description: 'Operation that it is a part of; null for a single change.',
            example: null
          })
        )
      }
    ),
    entrySchema(
      'link',
      'A record that refers to this one.',
      { id: 'lead 1', title: 'Lead added: John Doe, website' },
      { links: links(1, 'The record that refers to this one.') }
    )
  ]
  const mapping = Object.fromEntries(
    kinds.map(kind => [kind, `#/components/schemas/${entryName(kind)}`])
  )
  const TimelineEntry = Type.Unsafe<Entry>({
    $id: 'TimelineEntry',
    description: 'Something that happened to a record; `kind` determines the fields.',
    oneOf: entries.map(Ref),
    discriminator: { propertyName: 'kind', mapping }
  })
  const Timeline = PageOf(TimelineEntry)
  return { all: [...entries, TimelineEntry, Timeline], Timeline }
}

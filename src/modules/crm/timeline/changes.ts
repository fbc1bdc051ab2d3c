import type { EventRow } from '../../../core/records/events.ts'
import type { Kind, NameOf } from './names.ts'

/** Fields that only say when another one changed. */
const silent = new Set(['deleted_at', 'moved_at'])

/** The fields that an update changed, with their values as a person reads them. */
export const changesIn = ({ changed, before, after }: EventRow, name: NameOf) =>
  before === null || after === null
    ? []
    : changed
        .filter(field => !silent.has(field))
        .map(field => ({
          field,
          from: before[field] ?? null,
          to: after[field] ?? null,
          from_text: textOf(before, field, name),
          to_text: textOf(after, field, name)
        }))

const pointsAt: Record<string, Kind> = {
  account_id: 'account',
  parent_account_id: 'account',
  contact_id: 'contact',
  lead_id: 'lead',
  pipeline_id: 'pipeline',
  assigned_to: 'user',
  tags: 'tag'
}

function textOf(record: Record<string, unknown>, field: string, name: NameOf): string | null {
  const value = record[field]
  if (value === null || value === undefined) return null
  if (field === 'stage') return name('stage', `${record.pipeline_id as number}/${value as string}`)
  const kind = pointsAt[field]
  if (kind) return ([value].flat() as number[]).map(id => name(kind, id)).join(', ')
  return typeof value === 'string' ? value : JSON.stringify(value)
}

const label = (field: string) => field.replace(/_id$/, '').replaceAll('_', ' ')
const brief = (text: string | null) =>
  !text ? 'nothing' : text.length > 80 ? `${text.slice(0, 79)}…` : text
const begun = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)
const enumerated = new Intl.ListFormat('en')

const withStage = ['probability', 'status', 'closed_at', 'lost_reason']
/** What changes as one of these fields does, which is the main thing then: the first of them before the others. */
const followers: Record<string, string[]> = {
  pipeline_id: ['stage', ...withStage],
  stage: withStage,
  status: ['qualified_at', 'converted_at', 'unqualified_reason', 'contact_id'],
  score: ['grade']
}
const leaders = Object.keys(followers)

/** What a change did, in a sentence; what only followed from it is left to the `changes`. */
export function titleOfChange(
  { type, changed }: EventRow,
  changes: ReturnType<typeof changesIn>
): string {
  if (changes.length === 0) return begun(type.replace('.', ' '))
  const followed = new Set(
    leaders.filter(field => changed.includes(field)).flatMap(field => followers[field]!)
  )
  const told = changes.filter(({ field }) => !followed.has(field))
  const main =
    told.length === 1
      ? told[0]
      : leaders.flatMap(leader => told.find(({ field }) => field === leader) ?? [])[0]
  const others = enumerated.format(
    told.filter(change => change !== main).map(({ field }) => label(field))
  )
  if (!main) return `${begun(others)} changed`
  return `${begun(label(main.field))} changed from ${brief(main.from_text)} to ${brief(main.to_text)}${others && `, also ${others}`}`
}

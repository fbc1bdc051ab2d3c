import { sentenceCase, words } from '../../../core/names.ts'
import type { EventRow } from '../../../core/records/events.ts'
import { resourceNamed, targetsOf, type Resource } from '../../../core/records/resource.ts'
import type { NameOf } from './names.ts'

/** Fields that only say when another one changed. */
const timestamps = new Set(['deleted_at', 'moved_at'])

/** The fields that an update changed, with their values as people read them. */
export function changesIn({ subject_type, changed, before, after }: EventRow, name: NameOf) {
  if (before === null || after === null) return []
  const targets = targetsOf(resourceNamed(subject_type))
  return changed
    .filter(field => !timestamps.has(field))
    .map(field => ({
      field,
      from: before[field] ?? null,
      to: after[field] ?? null,
      from_text: textOf(before, field, targets, name),
      to_text: textOf(after, field, targets, name)
    }))
}

function textOf(
  record: Record<string, unknown>,
  field: string,
  targets: Map<string, Resource>,
  name: NameOf
): string | null {
  const value = record[field]
  if (value === null || value === undefined) return null
  if (field === 'stage') return name('stage', `${record.pipeline_id as number}/${value as string}`)
  const target = targets.get(field)
  if (target) return ([value].flat() as number[]).map(id => name(target.name, id)).join(', ')
  return typeof value === 'string' ? value : JSON.stringify(value)
}

const labelOf = (field: string) => words(field.replace(/_id$/, ''))

const abbreviate = (text: string) => (text.length > 80 ? `${text.slice(0, 79)}…` : text)

/** `changed from 10 to 20`, `set to 20` or `cleared (10)`. */
function changeOf(from: string | null, to: string | null): string {
  if (to)
    return from
      ? `changed from ${abbreviate(from)} to ${abbreviate(to)}`
      : `set to ${abbreviate(to)}`
  return from ? `cleared (${abbreviate(from)})` : 'changed'
}

const conjunction = new Intl.ListFormat('en')

const withStage = ['probability', 'status', 'closed_at', 'lost_reason']
/** Fields that change because another one does, which is the main one then: by that field. */
const followers: Record<string, string[]> = {
  pipeline_id: ['stage', ...withStage],
  stage: withStage,
  status: ['qualified_at', 'converted_at', 'unqualified_reason', 'contact_id'],
  score: ['grade']
}
const leaders = Object.keys(followers)

/** A change in a sentence; fields that only followed another one are left to `changes`. */
export function titleOfChange(
  { type, changed }: EventRow,
  changes: ReturnType<typeof changesIn>
): string {
  if (changes.length === 0) return sentenceCase(words(type.replace('.', ' ')))
  const followed = new Set(
    leaders.filter(field => changed.includes(field)).flatMap(field => followers[field]!)
  )
  const independent = changes.filter(({ field }) => !followed.has(field))
  const main =
    independent.length === 1
      ? independent[0]
      : independent.find(({ field }) => leaders.includes(field))
  const others = independent.filter(change => change !== main)
  const otherLabels = conjunction.format(others.map(({ field }) => labelOf(field)))
  if (!main) return `${sentenceCase(otherLabels)} changed`
  const { field, from_text, to_text } = main
  const also = otherLabels && `, also ${otherLabels}`
  return `${sentenceCase(labelOf(field))} ${changeOf(from_text, to_text)}${also}`
}

import type { EventRow } from '../../kit/events.ts'
import type { Kind, NameOf } from './names.ts'

/** Fields that only say when another one changed. */
const silent = new Set(['deleted_at', 'moved_at'])

/** The fields that an update changed, with their values as a person reads them. */
export const changesIn = ({ changed, before, after }: EventRow, name: NameOf) => before === null || after === null ? []
  : changed.filter(field => !silent.has(field)).map(field => ({
    field, from: before[field] ?? null, to: after[field] ?? null, from_text: textOf(before, field, name), to_text: textOf(after, field, name)
  }))

const pointsAt: Record<string, Kind> = {
  account_id: 'account', parent_account_id: 'account', contact_id: 'contact', lead_id: 'lead', pipeline_id: 'pipeline', assigned_to: 'user', tags: 'tag'
}

function textOf (record: Record<string, unknown>, field: string, name: NameOf): string | null {
  const value = record[field]
  if (value === null || value === undefined) return null
  if (field === 'stage') return name('stage', `${record.pipeline_id as number}/${value as string}`)
  const kind = pointsAt[field]
  if (kind) return ([value].flat() as number[]).map(id => name(kind, id)).join(', ')
  return typeof value === 'string' ? value : JSON.stringify(value)
}

const label = (field: string) => field.replace(/_id$/, '').replaceAll('_', ' ')
const brief = (text: string | null) => !text ? 'nothing' : text.length > 80 ? `${text.slice(0, 79)}…` : text
const begun = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)
const enumerated = new Intl.ListFormat('en')

/** What a change did, in a sentence. */
export function titleOfChange ({ type }: EventRow, changes: ReturnType<typeof changesIn>): string {
  const [one, ...more] = changes
  if (!one) return begun(type.replace('.', ' '))
  if (more.length === 0) return `${begun(label(one.field))} changed from ${brief(one.from_text)} to ${brief(one.to_text)}`
  return `${begun(enumerated.format(changes.map(({ field }) => label(field))))} changed`
}

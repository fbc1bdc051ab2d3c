import type { Static } from '@sinclair/typebox'
import type { RowOf } from '../../../core/records/resource.ts'
import type { UndoResult } from '../../../core/records/undo.ts'
import type { conversionResource } from './resource.ts'
import type { UndoneConversion } from './schema.ts'
import { partNames, type PartName } from './table.ts'

type Conversion = RowOf<typeof conversionResource>
type Outcome = Pick<Static<typeof UndoneConversion>, 'undone' | 'left'>
type Left = UndoResult['left'][number]
type Subject = Outcome['left'][number]

/** What undoing an operation did, in the words of a conversion: what it left, by record. */
export function toConversionResult(conversion: Conversion, { undone, left }: UndoResult): Outcome {
  const isPart = ({ type }: { type: string }) => (partNames as readonly string[]).includes(type)
  const byRecord = Map.groupBy(left, ({ type, id }) => `${type} ${id}`)
  return {
    undone: undone.filter(isPart).map(({ type, id, op, fields }) => ({
      type: type as PartName,
      id,
      ...(op === 'updated' && { fields: fields ?? [] })
    })),
    left: [
      ...[...byRecord.values()].map(of => ({
        ...subjectOf(of[0]!),
        reason: reasonOf(conversion, of)
      })),
      ...unread(conversion, [...undone, ...left])
    ]
  }
}

const subjectOf = ({ type, id }: Pick<Left, 'type' | 'id'>): Omit<Subject, 'reason'> => ({
  type: type as Subject['type'],
  id
})

const deleted = 'It has since been deleted, or you may not read it.'

/** The parts that a conversion changed and of which nothing was told. */
function unread(conversion: Conversion, told: { type: string }[]): Subject[] {
  return partNames.flatMap(type => {
    const id = conversion[`${type}_id`]
    const trace = conversion.traces[type]
    const wasChanged = trace && (trace.created || Object.keys(trace.filled).length > 0)
    if (id === null || !wasChanged || told.some(one => one.type === type)) return []
    return [{ type, id, reason: deleted }]
  })
}

const conjunction = new Intl.ListFormat('en')

/** Why something of one record was left. */
function reasonOf({ traces }: Conversion, left: Left[]): string {
  const { type, reason, used_by = [] } = left[0]!
  if (reason === 'deleted') return deleted
  if (reason === 'in_use') return `It is used by ${used_by.join(', ')}.`
  if (reason === 'forbidden') return "The user's roles do not allow to change it."
  if (reason !== 'changed') return 'Its earlier values are no longer possible.'
  const fields = left.flatMap(({ field }) => field ?? [])
  if (traces[type as PartName]?.created || fields.length === 0) return 'It has since changed.'
  return `${conjunction.format(fields)} ${fields.length === 1 ? 'has' : 'have'} since changed.`
}

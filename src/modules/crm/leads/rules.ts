import { impossibleMove, ruleBroken } from '../../../core/errors.ts'
import { hasChanged, rulesFor } from '../../../core/records/rules.ts'
import type { RowOf } from '../../../core/records/resource.ts'
import type { leadResource } from './resource.ts'
import { statuses } from './table.ts'

export type Lead = RowOf<typeof leadResource>

/** How the request names the status of a lead and its reason. */
export interface FieldNames {
  status: string
  reason: string
}

const rule = rulesFor<Lead, { names: FieldNames }>()

const viaConversion = 'To convert a lead, use POST /api/leads/{id}/conversion.'
const settable = statuses.filter(status => status !== 'converted')

const newLeadIsNotConverted = rule(['status'], ({ before, after, names }) => {
  if (!before && after.status === 'converted')
    throw ruleBroken(names.status, viaConversion, { rule: 'via_conversion' })
})

const conversionIsNoStatusChange = rule(['status'], ({ before, after, names }) => {
  if (!before || !hasChanged({ before, after }, 'status')) return
  if (before.status === 'converted')
    throw impossibleMove(
      names.status,
      'To undo the conversion of a lead, use DELETE /api/leads/{id}/conversion.',
      []
    )
  if (after.status === 'converted') throw impossibleMove(names.status, viaConversion, settable)
})

/** A form may send back the previous reason together with another status. */
const onlyUnqualifiedHasReason = rule(
  ['status', 'unqualified_reason'],
  ({ before, after, names }) => {
    const { status, unqualified_reason: reason } = after
    if (status === 'unqualified' || reason === null) return
    if (reason === before?.unqualified_reason) return
    throw ruleBroken(
      names.reason,
      `\`${names.reason}\` is only allowed when the lead is unqualified.`,
      { rule: 'only_when', field: names.status, values: ['unqualified'] }
    )
  }
)

/** What must hold whenever a lead is created or updated. */
export const leadRules = [
  newLeadIsNotConverted,
  conversionIsNoStatusChange,
  onlyUnqualifiedHasReason
]

import { Type } from '@sinclair/typebox'
import { ExternalIds } from '../../../core/http/external-ids.ts'
import {
  Change,
  Creation,
  Id,
  Instant,
  Name,
  Nullable,
  OneOf,
  RecordOf,
  Text
} from '../../../core/http/schema.ts'
import { TagIds } from '../tags/schema.ts'
import { grades, outcomes, statuses } from './table.ts'

const fields = {
  contact_id: Nullable(Id({ description: 'Contact ID.', example: 1 })),
  source: Nullable(Text(50, { description: 'Source of the lead.', example: 'website' })),
  status: OneOf(statuses, { default: 'new', description: 'Status.', example: 'new' }),
  score: Type.Integer({
    format: 'int32',
    minimum: -2_147_483_648,
    maximum: 2_147_483_647,
    default: 0,
    description:
      'Score. It is computed if a scoring model is active; otherwise, it can be set manually.',
    example: 0
  }),
  assigned_to: Nullable(Id({ description: 'User assigned to the lead.', example: 1 })),
  unqualified_reason: Nullable(
    Name(500, {
      description: 'Reason why the lead is unqualified. Any other status clears it.',
      example: null
    })
  ),
  tags: TagIds(),
  external_ids: ExternalIds()
}

const serverSet = {
  grade: Nullable(
    OneOf(grades, {
      description: 'Grade from the active scoring model; null if no model is active.',
      example: null
    })
  ),
  moved_at: Instant({
    description: 'Time when the lead entered its current status.',
    example: '2026-11-22T09:00:00.000Z'
  }),
  qualified_at: Nullable(
    Instant({ description: 'Time when the lead was qualified; null otherwise.', example: null })
  ),
  converted_at: Nullable(
    Instant({ description: 'Time when the lead was converted; null otherwise.', example: null })
  )
}

export const Lead = RecordOf('Lead', 'A potential customer.', { ...fields, ...serverSet })
export const NewLead = Creation('NewLead', fields, [], {
  contact_id: 1,
  source: 'website',
  status: 'new',
  assigned_to: 1
})
export const LeadChanges = Change('LeadChanges', fields, { source: 'referral' })

/** The outcome of a qualification. All of it may be omitted, the body as well. */
export const Qualification = Nullable(
  Type.Object(
    {
      outcome: Type.Optional(
        OneOf(outcomes, {
          description: 'Outcome of the qualification. Default: qualified.',
          example: 'qualified'
        })
      ),
      reason: Type.Optional(
        Name(500, {
          description: 'Reason why the lead is unqualified. Default: unchanged.',
          example: 'No budget this year'
        })
      )
    },
    {
      $id: 'Qualification',
      additionalProperties: false,
      description: 'The outcome of a qualification.',
      example: { outcome: 'qualified' }
    }
  )
)

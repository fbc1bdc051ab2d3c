import { Type } from '@sinclair/typebox'
import { filterLanguage } from '../../../core/records/list-query.ts'
import {
  Change,
  Creation,
  Id,
  Instant,
  Name,
  Nullable,
  OneOf,
  RecordOf,
  TagIds,
  Text
} from '../../../core/http/schema.ts'
import { grades, outcomes, statuses } from './table.ts'

const fields = {
  contact_id: Nullable(Id({ description: 'The person who may buy.', example: 1 })),
  source: Nullable(Text(50, { description: 'Where the lead came from.', example: 'website' })),
  status: OneOf(statuses, { default: 'new', description: 'How far it has come.', example: 'new' }),
  score: Type.Integer({
    format: 'int32',
    minimum: -2_147_483_648,
    maximum: 2_147_483_647,
    default: 0,
    description:
      'How promising it is; given by hand unless a scoring model is active, which computes it.',
    example: 0
  }),
  assigned_to: Nullable(Id({ description: 'The user who follows it up.', example: 1 })),
  unqualified_reason: Nullable(
    Name(500, {
      description:
        'Why nothing will come of it; only of an unqualified lead, and null again with another status.',
      example: null
    })
  ),
  tags: TagIds()
}

const kept = {
  grade: Nullable(
    OneOf(grades, {
      description: 'How promising it is, as the active scoring model grades it; null without one.',
      example: null
    })
  ),
  moved_at: Instant({
    description: 'When it came to its present status.',
    example: '2026-11-22T09:00:00.000Z'
  }),
  qualified_at: Nullable(
    Instant({ description: 'When it was qualified; null if it was not.', example: null })
  ),
  converted_at: Nullable(
    Instant({ description: 'When it was converted; null if it was not.', example: null })
  )
}

export const Lead = RecordOf('Lead', 'Somebody who may become a customer.', { ...fields, ...kept })
export const NewLead = Creation('NewLead', fields, [], {
  contact_id: 1,
  source: 'website',
  status: 'new',
  assigned_to: 1
})
export const LeadChanges = Change('LeadChanges', fields, { source: 'referral' })

/** What lists of leads can be filtered by. */
export const leadFilter = [
  'id',
  'contact_id',
  'source',
  'status',
  'score',
  'grade',
  'assigned_to',
  'moved_at',
  'tags',
  'created_at',
  'updated_at'
] as const

/** Filters of leads that are no fields. */
export const leadScopes = {
  entered_status: OneOf(statuses, { description: 'It has ever come to this status.' }),
  campaign_id: Id({ description: 'It is a member of this campaign.' }),
  mine: Type.Boolean({ description: 'It is assigned to who asks.' })
}

/** The filters of leads by fields, for those who keep filters. */
export const leadLanguage = filterLanguage({ record: Lead, filter: leadFilter })

/** What has become clear; all of it may be left out, the body as well. */
export const Qualification = Nullable(
  Type.Object(
    {
      outcome: Type.Optional(
        OneOf(outcomes, {
          description: 'Whether something may come of it. Default: qualified.',
          example: 'qualified'
        })
      ),
      reason: Type.Optional(
        Name(500, {
          description: 'Why nothing will come of it, with `unqualified`; absent: as it was.',
          example: 'No budget this year'
        })
      )
    },
    {
      $id: 'Qualification',
      additionalProperties: false,
      description: 'What has become clear of a lead.',
      example: { outcome: 'qualified' }
    }
  )
)

import { Type } from '@sinclair/typebox'
import { filterLanguage } from '../../../core/records/list-query.ts'
import {
  Change,
  Creation,
  DateOnly,
  Id,
  Instant,
  Money,
  Name,
  Nullable,
  OneOf,
  RecordOf,
  TagIds,
  Text
} from '../../../core/http/schema.ts'
import { searchable, statuses } from './table.ts'

const fields = {
  lead_id: Nullable(Id({ description: 'The lead it grew out of.', example: 1 })),
  account_id: Nullable(Id({ description: 'The account that would buy.', example: 1 })),
  title: Name(200, { description: 'What would be sold.', example: 'Enterprise Software License' }),
  amount: Nullable(
    Money(99_999_999.99, {
      description: 'What it would bring, with two decimals.',
      example: 50000.0
    })
  ),
  pipeline_id: Id({
    description: 'The pipeline it goes through. Default: the default pipeline.',
    example: 1
  }),
  stage: Type.String({
    minLength: 1,
    maxLength: 50,
    pattern: '^[a-z][a-z0-9_]*$',
    description:
      'How far it has come: the key of a stage of its pipeline. Default: its first open stage.',
    example: 'proposal'
  }),
  probability: Type.Integer({
    format: 'int32',
    minimum: 0,
    maximum: 100,
    description: 'How likely it is, in per cent. Default, also with each move: that of the stage.',
    example: 75
  }),
  close_date: Nullable(
    DateOnly({ description: 'The day it is expected to close.', example: '2024-03-15' })
  ),
  assigned_to: Nullable(Id({ description: 'The user who works on it.', example: 1 })),
  lost_reason: Nullable(
    Name(500, { description: 'Why it was lost; needed to lose it.', example: null })
  ),
  tags: TagIds()
}

const kept = {
  status: OneOf(statuses, {
    description:
      'What its stage means: open, won or lost. It follows from `stage` and is not given.',
    example: 'open'
  }),
  moved_at: Instant({
    description: 'When it came to its present stage.',
    example: '2026-11-22T09:00:00.000Z'
  }),
  closed_at: Nullable(
    Instant({ description: 'When it was won or lost; null while it is open.', example: null })
  )
}

export const Opportunity = RecordOf('Opportunity', 'A sale that may come about.', {
  ...fields,
  ...kept
})
export const NewOpportunity = Creation('NewOpportunity', fields, ['title'], {
  lead_id: 1,
  title: 'Enterprise Software License',
  amount: 50000.0,
  stage: 'proposal',
  probability: 75,
  close_date: '2024-03-15'
})
export const OpportunityChanges = Change('OpportunityChanges', fields, {
  stage: 'negotiation',
  probability: 90
})

/** What lists of opportunities can be filtered by. */
export const opportunityFilter = [
  'id',
  'lead_id',
  'account_id',
  'title',
  'amount',
  'pipeline_id',
  'stage',
  'status',
  'probability',
  'close_date',
  'assigned_to',
  'moved_at',
  'closed_at',
  'tags',
  'created_at',
  'updated_at'
] as const
export const opportunityScopes = {
  contact_id: Id({ description: 'Its lead has this contact.' }),
  entered_stage: Type.String({
    minLength: 1,
    maxLength: 50,
    pattern: '^[a-z][a-z0-9_]*$',
    description: 'It was in this stage at some time, or is.'
  }),
  lead_source: Text(50, { description: 'Its lead came from this `source`.' }),
  'lead_source[null]': Type.Boolean({
    description: 'Its lead has no `source`, or there is no lead (true); its lead has one (false).'
  }),
  campaign_id: Id({
    description:
      'Its lead, or the contact of its lead, is a member of this campaign, and was one before the opportunity was made.'
  }),
  mine: Type.Boolean({ description: 'It is assigned to who asks.' })
}

/** The filters of lists of opportunities, for those who count what is in them. */
export const opportunityLanguage = filterLanguage({
  record: Opportunity,
  filter: opportunityFilter,
  search: searchable,
  scopes: opportunityScopes
})

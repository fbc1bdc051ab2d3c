import { Type } from '@sinclair/typebox'
import { ExternalIds } from '../../../core/http/external-ids.ts'
import {
  Change,
  Creation,
  DateOnly,
  Id,
  Instant,
  Key,
  Money,
  Name,
  Nullable,
  OneOf,
  RecordOf
} from '../../../core/http/schema.ts'
import { TagIds } from '../../crm/tags/schema.ts'
import { statuses } from './table.ts'

const fields = {
  lead_id: Nullable(Id({ description: 'Lead that the opportunity came from.', example: 1 })),
  account_id: Nullable(Id({ description: 'Account of the prospective buyer.', example: 1 })),
  title: Name(200, { description: 'Title.', example: 'Enterprise Software License' }),
  amount: Nullable(Money(99_999_999.99, { description: 'Amount.', example: 50000.0 })),
  pipeline_id: Id({
    description: 'Pipeline ID. Default: the default pipeline.',
    example: 1
  }),
  stage: Key(50, {
    description: 'Key of a stage of the pipeline. Default: its first open stage.',
    example: 'proposal'
  }),
  probability: Type.Integer({
    format: 'int32',
    minimum: 0,
    maximum: 100,
    description:
      'Probability in percent. Default, also when the stage changes: the probability of the stage.',
    example: 75
  }),
  close_date: Nullable(DateOnly({ description: 'Expected close date.', example: '2024-03-15' })),
  assigned_to: Nullable(Id({ description: 'User assigned to the opportunity.', example: 1 })),
  lost_reason: Nullable(
    Name(500, {
      description: 'Reason for the loss; required when the opportunity is lost.',
      example: null
    })
  ),
  tags: TagIds(),
  external_ids: ExternalIds()
}

const serverSet = {
  status: OneOf(statuses, {
    description: 'Status: open, won or lost. It is determined by `stage`.',
    example: 'open'
  }),
  moved_at: Instant({
    description: 'Time when the opportunity entered its current stage.',
    example: '2026-11-22T09:00:00.000Z'
  }),
  closed_at: Nullable(
    Instant({
      description: 'Time when the opportunity was won or lost; null while it is open.',
      example: null
    })
  )
}

export const Opportunity = RecordOf('Opportunity', 'A potential sale.', {
  ...fields,
  ...serverSet
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

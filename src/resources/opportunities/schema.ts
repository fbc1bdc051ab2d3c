import { Type } from '@sinclair/typebox'
import { Change, Creation, DateOnly, Id, Money, Name, Nullable, OneOf, RecordOf } from '../../kit/schema.ts'
import { stages } from './table.ts'

const fields = {
  lead_id: Nullable(Id({ description: 'The lead it grew out of.', example: 1 })),
  account_id: Nullable(Id({ description: 'The account that would buy.', example: 1 })),
  title: Name(200, { description: 'What would be sold.', example: 'Enterprise Software License' }),
  amount: Nullable(Money(99_999_999.99, { description: 'What it would bring, with two decimals.', example: 50000.00 })),
  stage: OneOf(stages, { default: 'prospecting', description: 'How far it has come.', example: 'proposal' }),
  probability: Type.Integer({ format: 'int32', minimum: 0, maximum: 100, default: 0, description: 'How likely it is, in per cent.', example: 75 }),
  close_date: Nullable(DateOnly({ description: 'The day it is expected to close.', example: '2024-03-15' })),
  assigned_to: Nullable(Id({ description: 'The user who works on it.', example: 1 }))
}

export const Opportunity = RecordOf('Opportunity', 'A sale that may come about.', fields)
export const NewOpportunity = Creation('NewOpportunity', fields, ['title'],
  { lead_id: 1, title: 'Enterprise Software License', amount: 50000.00, stage: 'proposal', probability: 75, close_date: '2024-03-15' })
export const OpportunityChanges = Change('OpportunityChanges', fields, { stage: 'negotiation', probability: 90 })

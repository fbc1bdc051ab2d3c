import { Type } from '@sinclair/typebox'
import { Change, Creation, Id, Instant, Nullable, OneOf, RecordOf, TagIds, Text } from '../../kit/schema.ts'
import { grades, statuses } from './table.ts'

const fields = {
  contact_id: Nullable(Id({ description: 'The person who may buy.', example: 1 })),
  source: Nullable(Text(50, { description: 'Where the lead came from.', example: 'website' })),
  status: OneOf(statuses, { default: 'new', description: 'How far it has come.', example: 'new' }),
  score: Type.Integer({ format: 'int32', minimum: -2_147_483_648, maximum: 2_147_483_647, default: 0, description: 'How promising it is.', example: 0 }),
  assigned_to: Nullable(Id({ description: 'The user who follows it up.', example: 1 })),
  tags: TagIds()
}

const kept = {
  grade: Nullable(OneOf(grades, { description: 'How promising it is, as the active scoring model grades it; null without one.', example: null })),
  unqualified_reason: Nullable(Text(500, { description: 'Why nothing will come of it.', example: null })),
  moved_at: Instant({ description: 'When it came to its present status.', example: '2026-11-22T09:00:00.000Z' }),
  qualified_at: Nullable(Instant({ description: 'When it was qualified; null if it was not.', example: null })),
  converted_at: Nullable(Instant({ description: 'When it was converted; null if it was not.', example: null }))
}

export const Lead = RecordOf('Lead', 'Somebody who may become a customer.', { ...fields, ...kept })
export const NewLead = Creation('NewLead', fields, [], { contact_id: 1, source: 'website', status: 'new', assigned_to: 1 })
export const LeadChanges = Change('LeadChanges', fields, { status: 'contacted', score: 50 })

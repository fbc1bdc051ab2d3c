import { Type } from '@sinclair/typebox'
import { Change, Creation, Id, Nullable, OneOf, RecordOf, Text } from '../../kit/schema.ts'
import { statuses } from './table.ts'

const fields = {
  contact_id: Nullable(Id({ description: 'The person who may buy.', example: 1 })),
  source: Nullable(Text(50, { description: 'Where the lead came from.', example: 'website' })),
  status: OneOf(statuses, { default: 'new', description: 'How far it has come.', example: 'new' }),
  score: Type.Integer({ format: 'int32', minimum: -2_147_483_648, maximum: 2_147_483_647, default: 0, description: 'How promising it is.', example: 0 }),
  assigned_to: Nullable(Id({ description: 'The user who follows it up.', example: 1 }))
}

export const Lead = RecordOf('Lead', 'Somebody who may become a customer.', fields)
export const NewLead = Creation('NewLead', fields, [], { contact_id: 1, source: 'website', status: 'new', assigned_to: 1 })
export const LeadChanges = Change('LeadChanges', fields, { status: 'contacted', score: 50 })

import {
  Change,
  Count,
  Creation,
  Id,
  Name,
  Nullable,
  OneOf,
  RecordOf,
  Text
} from '../../../core/http/schema.ts'
import { resources, statuses } from './table.ts'

const fields = {
  name: Name(100, { description: 'What it is called.', example: 'Leads of the website' }),
  resource: OneOf(resources, { description: 'The records it assigns.', example: 'leads' }),
  status: OneOf(statuses, {
    default: 'draft',
    description: 'Whether it is in force.',
    example: 'active'
  }),
  position: Count({
    default: 0,
    description:
      'Its place in the order in which rules are tried; ties in the order they were made.',
    example: 1
  }),
  filter: Text(1000, {
    description:
      'Which records it is for: filters of their list, as in a query string, on what a creation can give. Empty: all.',
    example: 'source=website&score[gte]=0'
  }),
  user_id: Nullable(
    Id({ description: 'The user who gets them. Either this or team_id.', example: 1 })
  ),
  team_id: Nullable(
    Id({
      description: 'The team whose active members get them in turn. Either this or user_id.',
      example: null
    })
  )
}

export const AssignmentRule = RecordOf(
  'AssignmentRule',
  'Who gets a new record of which nobody says whose it is. The first active rule that fits decides; one that has nobody active to give it to is passed over.',
  fields
)
export const NewAssignmentRule = Creation('NewAssignmentRule', fields, ['name', 'resource'], {
  name: 'Leads of the website',
  resource: 'leads',
  status: 'active',
  position: 1,
  filter: 'source=website&score[gte]=0',
  user_id: 1
})
export const AssignmentRuleChanges = Change('AssignmentRuleChanges', fields, {
  filter: 'source[in]=website,fair',
  position: 2
})

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
import { assignables, statuses } from './table.ts'

const fields = {
  name: Name(100, { description: 'Name.', example: 'Website leads' }),
  resource: OneOf(assignables, { description: 'Records that the rule assigns.', example: 'leads' }),
  status: OneOf(statuses, {
    default: 'draft',
    description: 'Status. Only active rules are applied.',
    example: 'active'
  }),
  position: Count({
    default: 0,
    description: 'Position in the order in which rules are tried; ties by creation.',
    example: 1
  }),
  filter: Text(1000, {
    description:
      'Records that the rule applies to: filters of their list on fields that a creation can ' +
      'set, as a query string. Empty: all.',
    example: 'source=website&score[gte]=0'
  }),
  user_id: Nullable(
    Id({
      description: 'User who gets the records. Either this or team_id is required.',
      example: 1
    })
  ),
  team_id: Nullable(
    Id({
      description:
        'Team whose active members get the records in turn. Either this or user_id is required.',
      example: null
    })
  )
}

export const AssignmentRule = RecordOf(
  'AssignmentRule',
  'Assigns new records that name no user. The first active rule that matches applies; a rule ' +
    'without an active user is skipped.',
  fields
)
export const NewAssignmentRule = Creation('NewAssignmentRule', fields, ['name', 'resource'], {
  name: 'Website leads',
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

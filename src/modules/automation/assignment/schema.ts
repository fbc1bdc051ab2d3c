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
    description:
      'Position in the order in which rules are tried; ties are broken by creation order.',
    example: 1
  }),
  filter: Text(1000, {
    description:
      'Records that the rule applies to: filters of their list, as a query string, on fields ' +
      'that can be set at creation. Empty: all.',
    example: 'source=website&score[gte]=0'
  }),
  user_id: Nullable(
    Id({
      description: 'User who gets the records. Exactly one of `user_id` and `team_id` is required.',
      example: 1
    })
  ),
  team_id: Nullable(
    Id({
      description:
        'Team whose active members get the records in turn. Exactly one of `user_id` and ' +
        '`team_id` is required.',
      example: null
    })
  )
}

export const AssignmentRule = RecordOf(
  'AssignmentRule',
  'A rule that assigns new records without `assigned_to`. The first active rule that matches ' +
    'applies; a rule without an active user is skipped.',
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

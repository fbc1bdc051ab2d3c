import { sql } from '../../../core/db/drizzle.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { AssignmentRule, AssignmentRuleChanges, NewAssignmentRule } from './schema.ts'
import { assignmentRules } from './table.ts'

export const assignmentRuleResource = defineResource({
  name: 'assignment_rule',
  plural: 'assignment_rules',
  description: 'Rules that assign new records. Managed by admins.',
  table: assignmentRules,
  schema: AssignmentRule,
  create: NewAssignmentRule,
  update: AssignmentRuleChanges,
  filters: [
    'id',
    'resource',
    'status',
    'position',
    'user_id',
    'team_id',
    'created_at',
    'updated_at'
  ],
  sorts: ['id', 'position', 'created_at', 'updated_at'],
  include: { user: 'user_id', team: 'team_id' },
  title: sql`${assignmentRules.name}`,
  access: 'settings'
})

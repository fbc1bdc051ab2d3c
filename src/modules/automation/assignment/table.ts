import { identifier, listIndexes, record, recordKeys, reference } from '../../../core/db/columns.ts'
import { check, integer, pgTable, sql, varchar } from '../../../core/db/drizzle.ts'
import { users } from '../../identity/users/table.ts'
import { teams } from '../teams/table.ts'

export const assignables = ['leads', 'accounts', 'opportunities'] as const
export const statuses = ['draft', 'active'] as const

/**
 * Who gets a new record that is assigned to nobody: a user, or the members of a team in turn. The
 * first rule whose filter matches decides.
 */
export const assignmentRules = pgTable(
  'assignment_rules',
  {
    ...record(),
    name: varchar({ length: 100 }).notNull(),
    resource: varchar({ length: 20, enum: assignables }).notNull(),
    status: varchar({ length: 10, enum: statuses }).notNull().default('draft'),
    position: integer().notNull().default(0),
    filter: varchar({ length: 1000 }).notNull().default(''),
    user_id: identifier(),
    team_id: identifier()
  },
  t => [
    ...recordKeys('assignment_rules', t),
    ...listIndexes('assignment_rules', t, [
      'position',
      'user_id',
      'team_id',
      'created_at',
      'updated_at'
    ]),
    reference('assignment_rules', t, 'user_id', users),
    reference('assignment_rules', t, 'team_id', teams),
    check('assignment_rules_user_id_check', sql`num_nonnulls(${t.user_id}, ${t.team_id}) = 1`)
  ]
)

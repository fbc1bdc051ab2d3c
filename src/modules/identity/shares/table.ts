import { identifier, record, recordKeys, reference } from '../../../core/db/columns.ts'
import { check, index, pgTable, sql, uniqueIndex, varchar } from '../../../core/db/drizzle.ts'
import { teams } from '../../automation/teams/table.ts'
import { users } from '../users/table.ts'

export const shareAccess = ['read', 'write'] as const

/** A record that a user or a team reaches although their roles alone would not. */
export const shares = pgTable(
  'shares',
  {
    ...record(),
    subject_type: varchar({ length: 40 }).notNull(),
    subject_id: identifier().notNull(),
    user_id: identifier(),
    team_id: identifier(),
    access: varchar({ length: 10, enum: shareAccess }).notNull()
  },
  t => [
    ...recordKeys('shares', t),
    uniqueIndex('shares_user_id_unique')
      .on(t.organization_id, t.subject_type, t.subject_id, t.user_id)
      .where(sql`${t.deleted_at} is null`),
    uniqueIndex('shares_team_id_unique')
      .on(t.organization_id, t.subject_type, t.subject_id, t.team_id)
      .where(sql`${t.deleted_at} is null`),
    index('idx_shares_user')
      .on(t.organization_id, t.user_id, t.subject_type)
      .where(sql`${t.deleted_at} is null`),
    index('idx_shares_team')
      .on(t.organization_id, t.team_id, t.subject_type)
      .where(sql`${t.deleted_at} is null`),
    reference('shares', t, 'user_id', users),
    reference('shares', t, 'team_id', teams),
    check('shares_user_id_check', sql`num_nonnulls(${t.user_id}, ${t.team_id}) = 1`)
  ]
)

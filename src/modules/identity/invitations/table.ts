import {
  identifier,
  idList,
  idListIndex,
  instant,
  listIndexes,
  record,
  recordKeys,
  reference
} from '../../../core/db/columns.ts'
import { index, pgTable, sql, uniqueIndex, varchar } from '../../../core/db/drizzle.ts'
import { maxRoleName } from '../roles/table.ts'
import { users } from '../users/table.ts'

export const filterable = ['email', 'role', 'expires_at', 'created_at', 'updated_at'] as const

/**
 * An invitation is open until it is deleted: when it was accepted (then it has a user), withdrawn
 * or replaced by another one.
 */
export const invitations = pgTable(
  'invitations',
  {
    ...record(),
    email: varchar({ length: 120 }).notNull(),
    /** The name of the first role. */
    role: varchar({ length: maxRoleName }).notNull(),
    role_ids: idList(),
    team_ids: idList(),
    expires_at: instant()
      .notNull()
      .default(sql`now() + interval '7 days'`),
    sent_at: instant(),
    user_id: identifier(),
    /** SHA-256 of the token; one that is mailed exists from its mail on. */
    token_hash: varchar({ length: 64 })
  },
  t => [
    ...recordKeys('invitations', t),
    ...listIndexes('invitations', t, filterable),
    idListIndex('invitations', t, 'role_ids'),
    idListIndex('invitations', t, 'team_ids'),
    reference('invitations', t, 'user_id', users),
    index('idx_invitations_user_id').on(t.organization_id, t.user_id),
    uniqueIndex('invitations_email_unique')
      .on(t.organization_id, sql`email_key(${t.email})`)
      .where(sql`${t.deleted_at} is null`),
    uniqueIndex('invitations_token_hash_unique')
      .on(t.token_hash)
      .where(sql`${t.deleted_at} is null`)
  ]
)

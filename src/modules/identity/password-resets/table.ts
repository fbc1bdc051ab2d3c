import { identifier, instant } from '../../../core/db/columns.ts'
import { foreignKey, index, pgTable, sql, uniqueIndex, varchar } from '../../../core/db/drizzle.ts'
import { defineExpiry } from '../../../core/db/expiry.ts'
import { users } from '../users/table.ts'

/**
 * Forgotten passwords that can be reset by a mailed token; deleted once the password has been
 * changed, in whatever way. Not a record: it is no business of other users.
 */
export const passwordResets = pgTable(
  'password_resets',
  {
    id: identifier().primaryKey().generatedAlwaysAsIdentity(),
    organization_id: identifier().notNull(),
    user_id: identifier().notNull(),
    created_at: instant().notNull().defaultNow(),
    expires_at: instant()
      .notNull()
      .default(sql`now() + interval '1 hour'`),
    /** SHA-256 of the token, which exists from its mail on. */
    token_hash: varchar({ length: 64 })
  },
  t => [
    foreignKey({
      name: 'password_resets_user_id_reference',
      columns: [t.organization_id, t.user_id],
      foreignColumns: [users.organization_id, users.id]
    }),
    index('idx_password_resets_user').on(t.organization_id, t.user_id),
    index('idx_password_resets_expires_at').on(t.expires_at),
    uniqueIndex('password_resets_token_hash_unique').on(t.token_hash)
  ]
)

defineExpiry(passwordResets, sql`expires_at < now()`)

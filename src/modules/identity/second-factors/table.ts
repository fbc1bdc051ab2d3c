import { identifier } from '../../../core/db/columns.ts'
import { foreignKey, pgTable, primaryKey, varchar } from '../../../core/db/drizzle.ts'
import { users } from '../users/table.ts'

/**
 * The second factors of users. Not a record, so that no event has it; that there is one is in
 * `users`.
 */
export const secondFactors = pgTable(
  'second_factors',
  {
    organization_id: identifier().notNull(),
    user_id: identifier().notNull(),
    /** Encrypted; null until it is confirmed by a code. */
    secret: varchar({ length: 200 }),
    /** Encrypted: one that will replace it, or be the first one. */
    pending_secret: varchar({ length: 200 }),
    /** The time step of the last code that was used, in periods since 1970. */
    last_step: identifier(),
    /** SHA-256 of the recovery codes that were not used yet. */
    recovery_codes: varchar({ length: 64 }).array().notNull().default([])
  },
  t => [
    primaryKey({ name: 'second_factors_key', columns: [t.organization_id, t.user_id] }),
    foreignKey({
      name: 'second_factors_user_id_reference',
      columns: [t.organization_id, t.user_id],
      foreignColumns: [users.organization_id, users.id]
    })
  ]
)

import { identifier, instant } from '../../../core/db/columns.ts'
import {
  foreignKey,
  index,
  pgTable,
  sql,
  text,
  uniqueIndex,
  varchar
} from '../../../core/db/drizzle.ts'
import { identityProviders } from '../identity-providers/table.ts'
import { defineExpiry } from '../../../core/db/expiry.ts'
import { users } from '../users/table.ts'

/** The users of providers: who a `subject` of a provider is here. */
export const externalIdentities = pgTable(
  'external_identities',
  {
    id: identifier().primaryKey().generatedAlwaysAsIdentity(),
    organization_id: identifier().notNull(),
    provider_id: identifier().notNull(),
    user_id: identifier().notNull(),
    subject: varchar({ length: 255 }).notNull(),
    /** As the provider said at the last sign-in. */
    email: varchar({ length: 120 }).notNull(),
    created_at: instant().notNull().defaultNow(),
    last_used_at: instant().notNull().defaultNow()
  },
  t => [
    foreignKey({
      name: 'external_identities_provider_id_reference',
      columns: [t.organization_id, t.provider_id],
      foreignColumns: [identityProviders.organization_id, identityProviders.id]
    }),
    foreignKey({
      name: 'external_identities_user_id_reference',
      columns: [t.organization_id, t.user_id],
      foreignColumns: [users.organization_id, users.id]
    }),
    uniqueIndex('external_identities_subject_unique').on(
      t.organization_id,
      t.provider_id,
      t.subject
    ),
    uniqueIndex('external_identities_user_unique').on(t.organization_id, t.user_id, t.provider_id)
  ]
)

/**
 * Sign-ins whose users are at the provider. The nonce and the PKCE verifier are derived from the
 * state, of which there is only the hash here.
 */
export const signIns = pgTable(
  'sign_ins',
  {
    /** SHA-256 of the state. */
    hash: varchar({ length: 64 }).primaryKey(),
    organization_id: identifier().notNull(),
    provider_id: identifier().notNull(),
    /** SHA-256 of the cookie of the browser that started it. */
    browser_hash: varchar({ length: 64 }).notNull(),
    return_to: text().notNull(),
    /** S256 of a secret of the front end, which the one-time code is worth nothing without. */
    code_challenge: varchar({ length: 43 }).notNull(),
    expires_at: instant()
      .notNull()
      .default(sql`now() + interval '10 minutes'`)
  },
  t => [
    foreignKey({
      name: 'sign_ins_provider_id_reference',
      columns: [t.organization_id, t.provider_id],
      foreignColumns: [identityProviders.organization_id, identityProviders.id]
    }),
    index('idx_sign_ins_provider').on(t.organization_id, t.provider_id),
    index('idx_sign_ins_expires_at').on(t.expires_at)
  ]
)

/** One-time codes, for which the front end gets the tokens of a session. */
export const signInCodes = pgTable(
  'sign_in_codes',
  {
    /** SHA-256 of the code. */
    hash: varchar({ length: 64 }).primaryKey(),
    organization_id: identifier().notNull(),
    provider_id: identifier().notNull(),
    user_id: identifier().notNull(),
    code_challenge: varchar({ length: 43 }).notNull(),
    expires_at: instant()
      .notNull()
      .default(sql`now() + interval '60 seconds'`)
  },
  t => [
    foreignKey({
      name: 'sign_in_codes_provider_id_reference',
      columns: [t.organization_id, t.provider_id],
      foreignColumns: [identityProviders.organization_id, identityProviders.id]
    }),
    foreignKey({
      name: 'sign_in_codes_user_id_reference',
      columns: [t.organization_id, t.user_id],
      foreignColumns: [users.organization_id, users.id]
    }),
    index('idx_sign_in_codes_provider').on(t.organization_id, t.provider_id),
    index('idx_sign_in_codes_user').on(t.organization_id, t.user_id),
    index('idx_sign_in_codes_expires_at').on(t.expires_at)
  ]
)

defineExpiry(signIns, sql`expires_at < now()`)
defineExpiry(signInCodes, sql`expires_at < now()`)

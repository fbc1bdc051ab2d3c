import {
  idList,
  idListIndex,
  instant,
  listIndexes,
  maxTimeZone,
  record,
  recordKeys,
  searchText
} from '../../../core/db/columns.ts'
import { maxRoleName } from '../roles/table.ts'
import { check, pgTable, sql, uniqueIndex, varchar } from '../../../core/db/drizzle.ts'

export const kinds = ['person', 'service'] as const
export const statuses = ['active', 'disabled'] as const
export const searchable = ['username', 'first_name', 'last_name', 'email'] as const
export const filterable = [
  'username',
  'first_name',
  'last_name',
  'email',
  'role',
  'kind',
  'status',
  'created_at',
  'updated_at'
] as const

/**
 * A username or email identifies one user of an organization: it is no business of another one who
 * else has it. A username with an `@` must be the user's own email address, so that nobody can take
 * the login of another person's address. The unique indexes begin with the name, which a login
 * looks for in all organizations.
 */
export const users = pgTable(
  'users',
  {
    ...record(),
    username: varchar({ length: 80 }).notNull(),
    email: varchar({ length: 120 }).notNull(),
    first_name: varchar({ length: 50 }),
    last_name: varchar({ length: 50 }),
    phone: varchar({ length: 20 }),
    time_zone: varchar({ length: maxTimeZone }),
    password_hash: varchar({ length: 255 }).notNull(),
    /** The name of the first role. */
    role: varchar({ length: maxRoleName }).notNull().default('user'),
    role_ids: idList(),
    kind: varchar({ length: 10, enum: kinds }).notNull().default('person'),
    status: varchar({ length: 20, enum: statuses }).notNull().default('active'),
    /** Since when the user has a second factor; the rest of it is in `second_factors`. */
    second_factor_since: instant(),
    search_text: searchText(searchable)
  },
  t => [
    ...recordKeys('users', t),
    ...listIndexes('users', t, filterable),
    idListIndex('users', t, 'role_ids'),
    uniqueIndex('users_username_unique')
      .on(sql`lower(${t.username})`, t.organization_id)
      .where(sql`deleted_at is null`),
    uniqueIndex('users_email_unique')
      .on(sql`email_key(${t.email})`, t.organization_id)
      .where(sql`deleted_at is null`),
    check(
      'users_username_check',
      sql`position('@' in ${t.username}) = 0 or lower(${t.username}) = lower(${t.email})`
    )
  ]
)

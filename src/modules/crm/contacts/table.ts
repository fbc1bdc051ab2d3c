import type { SQL, SQLWrapper } from 'drizzle-orm'
import {
  externalIds,
  identifier,
  idList,
  idListIndex,
  keyIndex,
  listIndexes,
  record,
  recordKeys,
  reference,
  searchText
} from '../../../core/db/columns.ts'
import { pgTable, sql, varchar } from '../../../core/db/drizzle.ts'
import { users } from '../../identity/users/table.ts'
import { accounts } from '../accounts/table.ts'

export const searchable = ['first_name', 'last_name', 'email', 'phone', 'company'] as const

export const filterable = [
  'first_name',
  'last_name',
  'position',
  'email',
  'phone',
  'company',
  'account_id',
  'assigned_to',
  'created_by',
  'created_at',
  'updated_at'
] as const

/** Keys of contacts that are probably the same, of columns or values. */
export const contactKeys = {
  email: (email: SQLWrapper): SQL => sql`email_key(${email})`,
  person: (first: SQLWrapper, last: SQLWrapper, company: SQLWrapper): SQL =>
    sql`(match_key(${first}) || ' ' || match_key(${last}) || ' ' || match_key(${company}))`
}

export const contacts = pgTable(
  'contacts',
  {
    ...record(),
    first_name: varchar({ length: 50 }).notNull(),
    last_name: varchar({ length: 50 }).notNull(),
    email: varchar({ length: 120 }),
    phone: varchar({ length: 20 }),
    company: varchar({ length: 100 }),
    position: varchar({ length: 100 }),
    account_id: identifier(),
    assigned_to: identifier(),
    tags: idList(),
    external_ids: externalIds(),
    // both orders of a name: Chinese, Japanese and Korean write it as one word, family name first
    search_text: searchText(['last_name', ...searchable])
  },
  t => [
    ...recordKeys('contacts', t),
    idListIndex('contacts', t, 'tags'),
    ...listIndexes('contacts', t, filterable),
    keyIndex('contacts', t, 'email', contactKeys.email(t.email)),
    keyIndex('contacts', t, 'person', contactKeys.person(t.first_name, t.last_name, t.company)),
    reference('contacts', t, 'account_id', accounts),
    reference('contacts', t, 'assigned_to', users)
  ]
)

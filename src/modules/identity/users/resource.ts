import { sql } from '../../../core/db/drizzle.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { roles } from '../roles/table.ts'
import { NewUser, User, UserChanges, UserSummary } from './schema.ts'
import { filterable, searchable, users } from './table.ts'

export const userResource = defineResource({
  name: 'user',
  plural: 'users',
  description: 'People who can log in. Managed by admins.',
  table: users,
  schema: User,
  create: NewUser,
  update: UserChanges,
  summary: UserSummary,
  filters: ['id', ...filterable, 'role_ids'],
  sorts: ['id', 'username', 'first_name', 'last_name', 'email', 'created_at', 'updated_at'],
  search: searchable,
  include: { roles: { ids: 'role_ids', of: roles } },
  namedBy: ['created_by', 'updated_by'],
  hidden: ['password_hash'],
  title: sql`${users.username}`,
  available: sql`status = 'active'`,
  access: 'administration'
})

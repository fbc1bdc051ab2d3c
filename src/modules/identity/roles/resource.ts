import { sql } from '../../../core/db/drizzle.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { NewRole, Role, RoleChanges } from './schema.ts'
import { filterable, roles } from './table.ts'

export const roleResource = defineResource({
  name: 'role',
  plural: 'roles',
  description: 'What users may do. Managed by admins.',
  table: roles,
  schema: Role,
  create: NewRole,
  update: RoleChanges,
  filters: ['id', ...filterable],
  sorts: ['id', ...filterable],
  title: sql`${roles.name}`,
  access: 'administration'
})

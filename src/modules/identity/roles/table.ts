import type { Grant } from '../../../core/access/permissions.ts'
import { listIndexes, record, recordKeys } from '../../../core/db/columns.ts'
import { boolean, jsonb, pgTable, sql, uniqueIndex, varchar } from '../../../core/db/drizzle.ts'

export const filterable = ['name', 'created_at', 'updated_at'] as const
/** The longest name. */
export const maxRoleName = 60

/**
 * What users may do. Each organization starts with the built-in ones, which never change (see
 * `create_built_in_roles` in the migration).
 */
export const roles = pgTable(
  'roles',
  {
    ...record(),
    name: varchar({ length: maxRoleName }).notNull(),
    description: varchar({ length: 500 }),
    is_built_in: boolean().notNull().default(false),
    grants: jsonb().$type<Grant[]>().notNull()
  },
  t => [
    ...recordKeys('roles', t),
    ...listIndexes('roles', t, filterable),
    uniqueIndex('roles_name_unique')
      .on(t.organization_id, sql`lower(${t.name})`)
      .where(sql`${t.deleted_at} is null`)
  ]
)

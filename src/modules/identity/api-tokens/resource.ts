import { sql } from '../../../core/db/drizzle.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { ApiToken, ApiTokenChanges } from './schema.ts'
import { apiTokens, filterable } from './table.ts'

export const apiTokenResource = defineResource({
  name: 'api_token',
  plural: 'api_tokens',
  description: 'Credentials of scripts and integrations.',
  table: apiTokens,
  schema: ApiToken,
  update: ApiTokenChanges,
  filters: ['id', ...filterable],
  sorts: ['id', ...filterable],
  include: { user: 'user_id' },
  hidden: ['secret_hash', 'previous_hash'],
  title: sql`${apiTokens.name}`,
  access: 'personal'
})

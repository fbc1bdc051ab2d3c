import { sql } from '../../../core/db/drizzle.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { webhooks } from '../webhooks/table.ts'
import { Integration, IntegrationChanges, NewIntegration } from './schema.ts'
import { filterable, integrations } from './table.ts'

export const integrationResource = defineResource({
  name: 'integration',
  plural: 'integrations',
  description: 'Connections to other systems: their credentials, webhooks, progress and log.',
  table: integrations,
  schema: Integration,
  create: NewIntegration,
  update: IntegrationChanges,
  filters: ['id', ...filterable, 'webhook_ids'],
  sorts: ['id', ...filterable],
  include: { api_token: 'api_token_id', webhooks: { ids: 'webhook_ids', of: webhooks } },
  title: sql`${integrations.name}`,
  access: 'administration'
})

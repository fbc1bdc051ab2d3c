import { sql } from '../../../core/db/drizzle.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { NewWebhook, Webhook, WebhookChanges } from './schema.ts'
import { filterable, webhooks } from './table.ts'

export const webhookResource = defineResource({
  name: 'webhook',
  plural: 'webhooks',
  description: 'Servers that events are sent to, signed as Standard Webhooks describe.',
  table: webhooks,
  schema: Webhook,
  create: NewWebhook,
  update: WebhookChanges,
  filters: ['id', ...filterable],
  sorts: ['id', ...filterable],
  include: { author: 'author_id' },
  hidden: ['host', 'encrypted_secret', 'previous_secret'],
  title: sql`${webhooks.url}`,
  access: 'administration'
})

import {
  identifier,
  idList,
  idListIndex,
  instant,
  listIndexes,
  record,
  recordKeys,
  reference
} from '../../../core/db/columns.ts'
import { boolean, pgTable, sql, uniqueIndex, varchar } from '../../../core/db/drizzle.ts'
import { apiTokens } from '../../identity/api-tokens/table.ts'

export const filterable = [
  'name',
  'kind',
  'api_token_id',
  'is_active',
  'created_at',
  'updated_at'
] as const

/** The most webhooks of an integration. */
export const maxWebhooks = 20

/**
 * Connections to other systems. `webhook_ids` are webhooks. `cursor` is the place in the feed up to
 * which the other system says that it is done; it and its time are no change of an integration.
 */
export const integrations = pgTable(
  'integrations',
  {
    ...record(),
    name: varchar({ length: 100 }).notNull(),
    kind: varchar({ length: 40 }).notNull(),
    description: varchar({ length: 500 }),
    api_token_id: identifier(),
    webhook_ids: idList(),
    is_active: boolean().notNull().default(true),
    cursor: varchar({ length: 40 }),
    acknowledged_at: instant()
  },
  t => [
    ...recordKeys('integrations', t),
    ...listIndexes('integrations', t, filterable),
    idListIndex('integrations', t, 'webhook_ids'),
    uniqueIndex('integrations_name_unique')
      .on(t.organization_id, sql`lower(${t.name})`)
      .where(sql`${t.deleted_at} is null`),
    // what was done with a token was done by one integration
    uniqueIndex('integrations_api_token_id_unique')
      .on(t.organization_id, t.api_token_id)
      .where(sql`${t.deleted_at} is null`),
    reference('integrations', t, 'api_token_id', apiTokens)
  ]
)

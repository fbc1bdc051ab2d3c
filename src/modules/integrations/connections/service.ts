import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { definePermission } from '../../../core/access/permissions.ts'
import { rowsOf } from '../../../core/db/sql.ts'
import { conflict, notFound, unknownReference } from '../../../core/errors.ts'
import { assertPlace, placeOf } from '../../../core/records/feed.ts'
import type { Page } from '../../../core/records/list.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import type { RowOf } from '../../../core/records/resource.ts'
import type { Services } from '../../../core/services.ts'
import { webhookService } from '../webhooks/service.ts'
import { logOf } from './log.ts'
import { lag, lags, noteCursor, type Lag } from './queries.ts'
import { integrationResource } from './resource.ts'
import type { IntegrationChanges, LogEntry, LogQuery, NewIntegration } from './schema.ts'

// how far it is, is no change of an integration: it is not cached
const { cacheKey: _, ...records } = repository(integrationResource)
type Row = RowOf<typeof integrationResource>

/** Everyone has it: an integration uses its own API token, which administers nothing. */
export const acknowledging = `${integrationResource.path}:acknowledge`
definePermission(acknowledging, 'everyone')

export const integrationService = {
  ...records,

  /** Creates an integration. Errors: 422 for an unknown webhook or API token; 409. */
  async create(ctx: Context, input: Static<typeof NewIntegration>): Promise<Row> {
    await assertWebhooks(ctx, input.webhook_ids)
    return await records.create(ctx, input)
  },

  /**
   * Changes an integration. Errors: 404, 412, 409, 422 for an unknown API token, and for a new
   * webhook that is unknown (one that was deleted may stay).
   */
  async update(
    ctx: Context,
    id: number,
    changes: Static<typeof IntegrationChanges>,
    versions?: Versions
  ): Promise<Row> {
    const { webhook_ids } = changes
    if (webhook_ids === undefined) return await records.update(ctx, id, changes, versions)
    return await ctx.transaction(async ctx => {
      const before = await records.lock(ctx, id, versions)
      await assertWebhooks(ctx, webhook_ids, before.webhook_ids)
      return await records.update(ctx, id, changes, versions)
    })
  },

  /**
   * Notes that everything up to a cursor of the feed is done, and returns how far the integration
   * is. For its own API token, and those who may change integrations. Errors: 404, also for anyone
   * else; 410 for a cursor of another feed; 409 for one before that of last time.
   */
  async acknowledge(ctx: Context, id: number, cursor: string): Promise<Lag> {
    const [integration] = await records.find(ctx, [id])
    const { token } = ctx.principal
    const isOwn = token !== undefined && integration?.api_token_id === token.id
    if (!integration || !(isOwn || ctx.can(`${integrationResource.path}:update`)))
      throw notFound(integrationResource.label)
    await assertPlace(ctx, placeOf(cursor))
    const [row] = await ctx.write<{ noted: boolean }>([], noteCursor(id, cursor))
    const progress = await lagOf(ctx, id)
    if (!row!.noted)
      throw conflict(`The integration has acknowledged more: its cursor is ${progress.cursor}.`)
    return progress
  },

  /** How far an integration is behind the feed. Errors: 404. */
  lag: lagOf,

  /** How far all active integrations are that have acknowledged something, of all organizations. */
  async lags({
    database
  }: Services): Promise<(Lag & Pick<Row, 'id' | 'name' | 'kind'> & { organization_id: number })[]> {
    return await rowsOf(database, database.pool, lags)
  },

  /**
   * What an integration read, wrote and failed at, newest first. Errors: 404, 400 for a cursor of
   * another list.
   */
  async log(
    ctx: Context,
    id: number,
    query: Static<typeof LogQuery>
  ): Promise<Page<Static<typeof LogEntry>>> {
    return await logOf(ctx, await records.get(ctx, id), query)
  }
}

async function lagOf(ctx: Context, id: number): Promise<Lag> {
  await ctx.services.sequencer.catchUp().catch(() => {}) // or it is a little further behind
  const [found] = await ctx.read<Lag>(lag(id))
  if (!found) throw notFound(integrationResource.label)
  return found
}

/** Arrays have no foreign keys: this replaces them. Errors: 422. */
async function assertWebhooks(
  ctx: Context,
  webhook_ids: number[] = [],
  before: number[] = []
): Promise<void> {
  const found = await webhookService.find(ctx, webhook_ids)
  const known = new Set([...before, ...found.map(({ id }) => id)])
  const unknown = webhook_ids.flatMap((id, i) => (known.has(id) ? [] : [`webhook_ids/${i}`]))
  if (unknown.length > 0) throw unknownReference(unknown)
}

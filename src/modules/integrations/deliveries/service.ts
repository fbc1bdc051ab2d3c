import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { visibleColumns } from '../../../core/db/columns.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { organization, rowsOf } from '../../../core/db/sql.ts'
import { defined } from '../../../core/defined.ts'
import { conflict, notFound } from '../../../core/errors.ts'
import type { JobPayload } from '../../../core/jobs.ts'
import { equal } from '../../../core/records/filter.ts'
import { Lists, type Page } from '../../../core/records/list.ts'
import { allResources } from '../../../core/records/resource.ts'
import type { Services } from '../../../core/services.ts'
import { webhookService } from '../webhooks/service.ts'
import { addDeliveries, expand } from './expansion.ts'
import type { CancelDeliveries } from './jobs.ts'
import { messageId, testMessage } from './messages.ts'
import { behind, cancel } from './queries.ts'
import { replay, replayBatch } from './replay.ts'
import type { Delivery, DeliveryDetails, DeliveryQuery } from './schema.ts'
import { attempt, claimDue, schedule } from './sending.ts'
import { deliveries } from './table.ts'

export { cancelDeliveries } from './jobs.ts'
export { replayEvents } from './replay.ts'
export type { Schedule } from './sending.ts'
export type { Claimed } from './queries.ts'

const columns = visibleColumns(deliveries, ['leased_until', 'host', 'position'])
const { payload: _, response_body: __, ...shortColumns } = columns
type Short = Omit<Static<typeof Delivery>, 'message_id' | 'next_attempt_at'> & {
  due_at: string | null
}
type Whole = Short & { payload: string; response_body: string | null }
const lists = new Lists<Short>({ name: 'delivery', table: deliveries, columns: shortColumns })
const wholes = new Lists<Whole>({ name: 'delivery', table: deliveries, columns })

const present = ({ due_at, ...row }: Short): Static<typeof Delivery> => ({
  ...row,
  message_id: messageId(row),
  next_attempt_at: due_at
})

/** Deliveries that are canceled at a time. */
const cancelBatch = 5_000

export const deliveryService = {
  /** One page of the deliveries of a webhook, newest first. Errors: 404, 400. */
  async list(
    ctx: Context,
    webhook_id: number,
    { status, limit, cursor }: Static<typeof DeliveryQuery>
  ): Promise<Page<Static<typeof Delivery>>> {
    await webhookService.get(ctx, webhook_id)
    const filters = equal({ webhook_id, ...defined({ status }) })
    const { data, ...page } = await lists.list(ctx, { filters, ...defined({ limit, cursor }) })
    return { data: data.map(present), ...page }
  },

  /**
   * One delivery. What it says of a record is for those who may read all records of its type.
   * Errors: 404.
   */
  async get(ctx: Context, id: number): Promise<Static<typeof DeliveryDetails>> {
    const row = await wholes.first(ctx, { filters: equal({ id }) })
    if (!row) throw notFound('delivery')
    const { payload, response_body, ...rest } = row
    const isShown = mayRead(ctx, row.subject_type)
    return {
      ...present(rest),
      payload: isShown ? (JSON.parse(payload) as object) : null,
      response_body: isShown ? response_body : null
    }
  },

  /**
   * Has a delivery that failed or was canceled be tried ten times more, and one that waits for its
   * next attempt at once. Returns it. Errors: 404, 409.
   */
  async retry(ctx: Context, id: number): Promise<Static<typeof DeliveryDetails>> {
    return await ctx.transaction(async ctx => {
      const { status, webhook_id } = await deliveryService.get(ctx, id)
      await webhookService.get(ctx, webhook_id)
      const [row] = await ctx.write<{ retried: boolean }>(
        [],
        sql`select retry_delivery(${organization}, ${id}::bigint) as retried`
      )
      if (!row!.retried) throw conflict(`The delivery cannot be retried: it is ${status}.`)
      return await deliveryService.get(ctx, id)
    })
  },

  /** Adds a delivery that tests an active webhook, once. Returns it. Errors: 404, 409. */
  async test(ctx: Context, webhook_id: number): Promise<Static<typeof DeliveryDetails>> {
    return await ctx.transaction(async ctx => {
      const { is_active } = await webhookService.get(ctx, webhook_id)
      if (!is_active) throw conflict('The webhook is not active.')
      await addDeliveries(ctx, webhook_id, [testMessage(webhook_id, new Date())])
      const row = await ctx.one<{ id: number }>(sql`select max(id) as id from ${deliveries}
        where organization_id = ${organization} and webhook_id = ${webhook_id}`)
      return await deliveryService.get(ctx, row!.id)
    })
  },

  replay,
  replayBatch,

  /** Cancels what waits for a webhook that was deleted, in batches. */
  async cancel(
    ctx: Context,
    job: CancelDeliveries & JobPayload
  ): Promise<(CancelDeliveries & JobPayload) | undefined> {
    const canceled = await ctx.write([], cancel(job.webhook_id, cancelBatch))
    return canceled.length < cancelBatch ? undefined : job
  },

  /** The active webhooks that the feed has gone on for; `only`: those of one organization. */
  async findBehind(
    { database }: Services,
    only: number | null = null
  ): Promise<{ organization_id: number; id: number }[]> {
    return await rowsOf(database, database.pool, behind(only))
  },

  expand,
  claimDue,
  attempt,
  schedule
}

/** Whether a caller may read all records of a type, with all fields. */
function mayRead(ctx: Context, type: string): boolean {
  const path = allResources().find(({ name }) => name === type)?.path
  return (
    path !== undefined &&
    ctx.principal.access.reachOf(`${path}:read`) === 'all' &&
    ctx.hiddenFields(path).size === 0
  )
}

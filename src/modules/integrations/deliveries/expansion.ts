import { Context } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { organization, ours } from '../../../core/db/sql.ts'
import { Problem } from '../../../core/errors.ts'
import { cursorOf, placeOf, type FilterMoment, type Selection } from '../../../core/records/feed.ts'
import type { Services } from '../../../core/services.ts'
import { authService } from '../../identity/auth/service.ts'
import { feedService, type Part } from '../events/service.ts'
import { webhookResource } from '../webhooks/resource.ts'
import { wantedBy, webhookService } from '../webhooks/service.ts'
import { webhooks } from '../webhooks/table.ts'
import { messageOf, type Contents, type NewDelivery } from './messages.ts'

/** Events that are read at a time. */
const batch = 200

/** What of a webhook decides which events it gets. */
interface Reader extends Contents {
  id: number
  author_id: number
  cursor: string
  types: string | null
  filter: string | null
  filter_on: FilterMoment
}

/** A webhook, unless it was deleted. */
export async function readerOf(ctx: Context, id: number): Promise<Reader | undefined> {
  const [reader] = await ctx.read<Reader>(sql`
    select id, author_id, cursor, types, filter, filter_on, fields, format
    from ${ours(webhooks)} where id = ${id}`)
  return reader
}

/** The author of a webhook with their present rights, as long as they may manage webhooks. */
export async function authorOf(
  services: Services,
  organization_id: number,
  author_id: number
): Promise<Context | undefined> {
  const author = { user_id: author_id }
  const principal = await authService.principalOfJob(services, organization_id, author)
  const ctx = principal && new Context(services, principal)
  return ctx?.can(`${webhookResource.path}:update`) ? ctx : undefined
}

/** A part of the feed as the author of a webhook may read it. */
interface Reading extends Part {
  messages: NewDelivery[]
}

/**
 * What comes in the feed after a cursor, for a webhook; undefined if its author may not read it any
 * more. Errors: 410, as `Context.rows`.
 */
export async function readFor(
  { services, organization_id }: Context,
  reader: Reader,
  cursor: string
): Promise<Reading | undefined> {
  const author = await authorOf(services, organization_id, reader.author_id)
  const selection = author && selectionOf(author, reader)
  if (!selection) return undefined
  const reading = { after: placeOf(cursor), previous: cursor, selection, limit: batch }
  const part = await feedService.read(author, reading)
  return { ...part, messages: part.entries.map(entry => messageOf(entry, reader)) }
}

function selectionOf(author: Context, reader: Reader): Selection | undefined {
  try {
    return feedService.selectionOf(author, wantedBy(reader))
  } catch (error) {
    if (error instanceof Problem) return undefined
    throw error
  }
}

/** Where a webhook goes on in the feed: from one cursor to another. */
interface Step {
  from: string
  to: string
}

/**
 * Adds deliveries to a webhook. With `step`, only if it is there in the feed, and moves it on.
 * Returns whether it did. `isReplay`: they are sent again.
 */
export async function addDeliveries(
  ctx: Context,
  id: number,
  messages: NewDelivery[],
  { step, isReplay = false }: { step?: Step; isReplay?: boolean } = {}
): Promise<boolean> {
  const [row] = await ctx.write<{ added: boolean }>(
    [],
    sql`select add_deliveries(${organization}, ${id}::bigint, ${step?.from ?? null}::text,
      ${step?.to ?? null}::text, ${isReplay}::boolean, ${JSON.stringify(messages)}::text::jsonb)
      as added`
  )
  return row!.added
}

/**
 * Adds deliveries for what has come in the feed since a webhook's place, and moves that, in one
 * statement: an event is added once, whatever is done at the same time or interrupted. Returns
 * whether there is more. Errors: as `Context.rows`.
 */
export async function expand(
  services: Services,
  organization_id: number,
  id: number
): Promise<boolean> {
  const ctx = Context.system(services, organization_id)
  const reader = await readerOf(ctx, id)
  if (!reader) return false
  const { cursor } = reader
  const reading = await readFor(ctx, reader, cursor)
  if (!reading) {
    await webhookService.pause(ctx, id, 'author')
    return false
  }
  const { messages, end, hasMore } = reading
  const step = { from: cursor, to: cursorOf(end) }
  if (step.from === step.to) return false
  return (await addDeliveries(ctx, id, messages, { step })) && hasMore
}

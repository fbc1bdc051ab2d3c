import { Context } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { organization, ours } from '../../../core/db/sql.ts'
import { Problem } from '../../../core/errors.ts'
import {
  cursorOf,
  placeAt,
  placeOf,
  type FilterMoment,
  type Place,
  type Selection
} from '../../../core/records/feed.ts'
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

/** The author of a webhook may no longer manage it, or read what it is about. */
export class AuthorLost extends Error {}

/** Pauses a webhook whose author `work` misses. Errors: others of `work`. */
export async function pausingWithoutAuthor<T>(
  ctx: Context,
  id: number,
  work: () => Promise<T>
): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof AuthorLost)) throw error
    await webhookService.pause(ctx, id, 'author')
    return undefined
  }
}

/** The author of a webhook with their present rights. Errors: `AuthorLost`. */
export async function authorOf(system: Context, user_id: number): Promise<Context> {
  const permission = `${webhookResource.path}:update`
  const author = await authService.contextOfAuthor(system, { user_id }, permission)
  if (!author) throw new AuthorLost()
  return author
}

/** A part of the feed as the author of a webhook may read it. */
interface Reading extends Part {
  messages: NewDelivery[]
}

/**
 * What comes in the feed after a place, for a webhook. Errors: `AuthorLost`, 410, as
 * `Context.rows`.
 */
export async function readFor(
  system: Context,
  reader: Reader,
  after: Place,
  limit = batch
): Promise<Reading> {
  const author = await authorOf(system, reader.author_id)
  const selection = selectionOf(author, reader)
  const reading = { after, previous: cursorOf(after), selection, limit }
  const part = await feedService.read(author, reading)
  return { ...part, messages: part.entries.map(entry => messageOf(entry, reader)) }
}

/**
 * The message about the event at a position, as the author of a webhook may read it now; undefined
 * if that is not at all. Errors: as `readFor`.
 */
export async function messageAt(
  ctx: Context,
  webhook_id: number,
  position: number
): Promise<NewDelivery | undefined> {
  const reader = await readerOf(ctx, webhook_id)
  const after = await placeAt(ctx, position - 1)
  const reading = reader && (await readFor(ctx, reader, after, 1))
  return reading?.messages.find(message => message.position === position)
}

function selectionOf(author: Context, reader: Reader): Selection {
  try {
    return feedService.selectionOf(author, wantedBy(reader))
  } catch (error) {
    throw error instanceof Problem ? new AuthorLost() : error
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
  const read = async () => await readFor(ctx, reader, placeOf(cursor))
  const reading = await pausingWithoutAuthor(ctx, id, read)
  if (!reading) return false
  const { messages, end, hasMore } = reading
  const step = { from: cursor, to: cursorOf(end) }
  if (step.from === step.to) return false
  return (await addDeliveries(ctx, id, messages, { step })) && hasMore
}

import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import type { Services } from '../../../core/services.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { ours } from '../../../core/db/sql.ts'
import { defined } from '../../../core/defined.ts'
import { conflict, Problem, ruleBroken } from '../../../core/errors.ts'
import { defineJob, type JobPayload } from '../../../core/jobs.ts'
import { oneLine } from '../../../core/mail.ts'
import { recordAccess } from '../../../core/records/events.ts'
import { cursorOf, lastPlace, resourcesOf, type FilterMoment } from '../../../core/records/feed.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import type { RowOf } from '../../../core/records/resource.ts'
import { feedService, type Wanted } from '../events/service.ts'
import { cancelDeliveries } from '../deliveries/jobs.ts'
import { adminIds, mailable, makeDue, type Mailable } from './queries.ts'
import { webhookResource } from './resource.ts'
import type { NewWebhook, WebhookChanges } from './schema.ts'
import { newSecret, sealSecret } from './secret.ts'
import { webhooks, type PauseReason } from './table.ts'

// how far it is, is no change of a webhook: it is not cached
const { cacheKey: _, create, ...records } = repository(webhookResource)
type Row = RowOf<typeof webhookResource>
type Issued = Row & { secret: string }

/** Webhooks of an organization: each costs a look at every event. */
const maxWebhooks = 100
/** Milliseconds for which the secret of before a rotation signs, too. */
const overlap = 24 * 3_600_000

interface MailPause {
  webhook_id: number
  to: number
}

/** Mails an admin that a webhook was paused. */
export const mailPause = defineJob<MailPause>('mail_webhook_pause')

export const webhookService = {
  ...records,

  /**
   * Creates a webhook that begins at the present end of the feed, and returns it with its secret,
   * which nothing does again. Errors: 422 for a URL that may not be requested, types, a filter or
   * fields that do not exist; 403 for types that the caller may not read; 409 for too many.
   */
  async issue(ctx: Context, input: Static<typeof NewWebhook>): Promise<Issued> {
    const { services, organization_id, user_id } = ctx
    assertPossible(ctx, input)
    if ((await countWebhooks(ctx)) >= maxWebhooks)
      throw conflict(`An organization can have at most ${maxWebhooks} webhooks. Delete one first.`)
    await services.sequencer.tryCatchUp() // or it begins a little earlier
    const secret = newSecret()
    const row = await create(ctx, {
      ...input,
      host: hostOf(input.url),
      author_id: user_id!,
      cursor: cursorOf(await lastPlace(ctx)),
      encrypted_secret: sealSecret(services, organization_id, secret)
    })
    return { ...row, secret }
  },

  /**
   * Changes a webhook; the caller is its author from then on. One that is made active goes on where
   * it was, and what waits for its next attempt is sent at once. Errors: 404, 412; 422 and 403 as
   * `issue`.
   */
  async update(
    ctx: Context,
    id: number,
    changes: Static<typeof WebhookChanges>,
    versions?: Versions
  ): Promise<Row> {
    return await ctx.transaction(async ctx => {
      const before = await records.lock(ctx, id, versions)
      assertPossible(ctx, { ...before, ...defined(changes) })
      if (changes.is_active) await ctx.write([], makeDue(id))
      return await records.update(ctx, id, {
        ...changes,
        author_id: ctx.user_id!,
        ...(changes.url !== undefined && { host: hostOf(changes.url) }),
        ...(changes.is_active && { ...unpaused, failures: 0, failing_since: null })
      })
    })
  },

  /** Deletes a webhook; what waits for it is not sent. Errors: 404, 412. */
  async remove(ctx: Context, id: number, versions?: Versions): Promise<void> {
    await ctx.transaction(async ctx => {
      await records.remove(ctx, id, versions)
      await cancelDeliveries.enqueue(ctx, { webhook_id: id }, { key: String(id) })
    })
  },

  /** Replaces the secret; the old one signs, too, for 24 hours. Errors: 404, 412. */
  async rotate(ctx: Context, id: number, versions?: Versions): Promise<Issued> {
    const { services, organization_id } = ctx
    const secret = newSecret()
    return await ctx.transaction(async ctx => {
      await records.lock(ctx, id, versions)
      const before = await ctx.one<{ secret: string }>(
        sql`select encrypted_secret as secret from ${ours(webhooks)} where id = ${id}`
      )
      const row = await records.update(ctx, id, {
        encrypted_secret: sealSecret(services, organization_id, secret),
        previous_secret: before!.secret,
        previous_until: new Date(Date.now() + overlap).toISOString()
      })
      return { ...row, secret }
    })
  },

  /** Pauses an active webhook, and tells the admins. For the system. */
  async pause(ctx: Context, id: number, reason: PauseReason): Promise<void> {
    await ctx.transaction(async ctx => {
      const [webhook] = await records.find(ctx, [id])
      if (!webhook || !(await records.lock(ctx, id)).is_active) return
      const paused_at = new Date().toISOString()
      await records.update(ctx, id, { is_active: false, paused_at, paused_reason: reason })
      const subject = { type: 'webhook', id }
      await recordAccess(ctx, 'deliveries.paused', { reason, url: webhook.url }, subject)
      if (!ctx.services.mailer) return
      for (const { id: to } of await ctx.rows<{ id: number }>(adminIds))
        await mailPause.enqueue(ctx, { webhook_id: id, to })
    })
  },

  /** Mails an admin that a webhook was paused, and why. */
  async mail(ctx: Context, { webhook_id, to }: MailPause & JobPayload): Promise<undefined> {
    const [found] = await ctx.read<Mailable>(mailable(webhook_id, to))
    if (!found || found.paused_reason === null) return
    const { email, organization, url, paused_reason } = found
    await ctx.services.mailer?.send({
      to: email,
      subject: `A webhook of ${oneLine(organization)} was paused`,
      text: `Hello,

Events are no longer sent to

${oneLine(url)}

${reasons[paused_reason]}

To resume, send PATCH /api/webhooks/${webhook_id} with {"is_active": true}: what happened meanwhile
is then sent.
`
    })
  }
}

async function countWebhooks(ctx: Context): Promise<number> {
  const [found] = await ctx.read<{ count: number }>(
    sql`select count(*) as count from ${ours(webhooks)}`
  )
  return found!.count
}

const unpaused = { paused_at: null, paused_reason: null }

const reasons: Record<PauseReason, string> = {
  gone: 'The server responded with 410: it does not want any more events.',
  failing: 'The last 20 attempts failed, over 24 hours or longer.',
  author:
    'The user whose rights decide what is sent was disabled, or may no longer manage webhooks\n' +
    'or read what this one is about.'
}

const hostOf = (url: string) => new URL(url).hostname

/** What of a webhook must be valid together. */
interface Checked extends Omit<{ [K in keyof Wanted]?: Wanted[K] | null }, 'filter_on'> {
  url: string
  filter_on?: FilterMoment
  fields?: string[] | null
}

/** What a webhook wants of the feed. */
export const wantedBy = ({ types, filter, filter_on }: Omit<Checked, 'url' | 'fields'>): Wanted =>
  defined({ types: types ?? undefined, filter: filter ?? undefined, filter_on })

/** Errors: 422 for what can be neither requested nor read, 403 for what the caller may not read. */
function assertPossible(ctx: Context, { url, fields, ...wanted }: Checked): void {
  assertPermitted(ctx.services, url)
  const selection = inBody(() => feedService.selectionOf(ctx, wantedBy(wanted)))
  const known = new Set(resourcesOf(selection).flatMap(({ columns }) => Object.keys(columns)))
  const unknown = fields?.findIndex(field => !known.has(field)) ?? -1
  if (unknown !== -1)
    throw ruleBroken(`fields/${unknown}`, `There is no field ${fields![unknown]}.`, {
      rule: 'field'
    })
}

/** The same, with what is invalid as a field of the body. Errors: 422, 403. */
function inBody<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    const fault = error instanceof Problem ? error.extra.errors?.[0] : undefined
    if (fault?.parameter === undefined) throw error
    throw ruleBroken(fault.parameter, fault.detail, { rule: 'selection', ...fault.params })
  }
}

/** Errors: 422 for a URL that no request may go to. */
function assertPermitted({ outbound }: Services, url: string): void {
  if (!URL.canParse(url) || !outbound.permits(url))
    throw ruleBroken(
      'url',
      'The URL must be an https URL of a public server, or of one in OUTBOUND_NETWORKS.',
      { rule: 'outbound' }
    )
}

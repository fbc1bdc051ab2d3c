import type { Context } from '../../../core/access/context.ts'
import { withAttempts } from '../../../core/attempts.ts'
import { inPart, Problem, unknownReference } from '../../../core/errors.ts'
import { writableOf } from '../../../core/records/visibility.ts'
import type { Identified } from '../../../core/http/responses.ts'
import type { Lead } from '../../crm/leads/service.ts'
import { userService } from '../../identity/users/service.ts'
import { accountPart, contactPart, opportunityPart, type Part } from './parts.ts'
import type { Plan, Wish } from './plan.ts'
import type { Trace } from './table.ts'

/** A record that a conversion created or filled, and what it did to it. */
interface Converted<Row> {
  record: Row
  trace: Trace
}

/** How often filling a record is tried that other writers overtake. */
const maxAttempts = 10

/**
 * Creates what is new and fills what is empty. New records are assigned to the user of the lead,
 * if that user is active. Errors: those of the services, at their place in the request.
 */
export async function carryOut(ctx: Context, lead: Lead, plan: Plan) {
  const [user] =
    lead.assigned_to === null ? [] : await userService.findActive(ctx, [lead.assigned_to])
  const owner = user === undefined ? {} : { assigned_to: user }
  const account = await settle(ctx, accountPart, plan.account, owner, {})
  const account_id = account?.record.id ?? null
  const contact = await settle(ctx, contactPart, plan.contact, owner, { account_id })
  const person = contact && `${contact.record.first_name} ${contact.record.last_name}`
  const title = account?.record.name ?? person ?? `Lead ${lead.id}`
  const opportunity = await settle(
    ctx,
    opportunityPart,
    plan.opportunity,
    { title, ...owner },
    { lead_id: lead.id, account_id }
  )
  return { account, contact, opportunity }
}

/**
 * Creates a part, or fills the empty fields of an existing one. `defaults` are for a new one,
 * `links` for either, where nothing else is given.
 */
async function settle<Row extends Identified, Fields extends object>(
  ctx: Context,
  part: Part<Row, Fields>,
  wish: Wish<Fields> | null,
  defaults: Partial<Fields>,
  links: Partial<Fields>
): Promise<Converted<Row> | undefined> {
  if (wish === null) return undefined
  const action = wish.kind === 'existing' ? 'update' : 'create'
  const fields = withLinks(wish.fields, writableOf(ctx, part.resource, action, links))
  if (wish.kind === 'existing') return await inPart(part.name, fill(ctx, part, wish.id, fields))
  ctx.require(`${part.resource.path}:create`)
  const preset = writableOf(ctx, part.resource, 'create', defaults)
  const record = await inPart(part.name, part.create(ctx, { ...preset, ...fields }))
  return { record, trace: { created: true, filled: {}, version: record.version } }
}

/** The fields with those links that they do not set. */
function withLinks<Fields extends object>(fields: Fields, links: Partial<Fields>): Fields {
  const missing = Object.entries(links).filter(([name]) => isEmpty(fields, name))
  return { ...fields, ...Object.fromEntries(missing) }
}

const isEmpty = (record: object, name: string): boolean =>
  ((record as Record<string, unknown>)[name] ?? null) === null

/** Fills the empty fields; if another writer is faster, it looks again, and overwrites nothing. */
async function fill<Row extends Identified, Fields extends object>(
  ctx: Context,
  part: Part<Row, Fields>,
  id: number,
  fields: Fields
): Promise<Converted<Row>> {
  return await withAttempts(maxAttempts, async () => {
    const [record] = await part.find(ctx, [id])
    if (!record) throw unknownReference(['id'])
    const names = Object.keys(fields).filter(
      name => !isEmpty(fields, name) && isEmpty(record, name)
    )
    if (names.length === 0)
      return { record, trace: { created: false, filled: {}, version: record.version } }
    ctx.require(`${part.resource.path}:update`)
    try {
      const filled = await part.update(ctx, id, pick(fields, names), [record.version])
      const { version } = filled
      return { record: filled, trace: { created: false, filled: pick(filled, names), version } }
    } catch (error) {
      if (error instanceof Problem && error.status === 412) return undefined
      throw error
    }
  })
}

const pick = <T extends object>(record: T, names: string[]): T & Record<string, unknown> =>
  Object.fromEntries(Object.entries(record).filter(([name]) => names.includes(name))) as T &
    Record<string, unknown>

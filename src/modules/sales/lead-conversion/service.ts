import type { Static } from '@sinclair/typebox'
import { collection, type RowOf, type Versions } from '../../../core/records/repository.ts'
import type { Context } from '../../../core/access/context.ts'
import { conflict, notFound, stale } from '../../../core/errors.ts'
import * as accounts from '../../crm/accounts/service.ts'
import { inTurn } from '../../automation/assignment/service.ts'
import * as contacts from '../../crm/contacts/service.ts'
import * as leads from '../../crm/leads/service.ts'
import * as opportunities from '../opportunities/service.ts'
import { holding } from '../stages/service.ts'
import { make, planned } from './plan.ts'
import type { Conversion, NewConversion, UndoneConversion } from './schema.ts'
import { conversions, parts, type Trace } from './table.ts'
import { hold, takeBack } from './undo.ts'

const { list, create: insert, remove } = collection('conversion', conversions)

type Lead = Awaited<ReturnType<typeof leads.get>>
type Row = RowOf<typeof conversions>

/** What a lead was converted into. Errors: 404 for a lead that is not there, or not converted. */
export async function get(ctx: Context, lead_id: number): Promise<Static<typeof Conversion>> {
  const [lead, conversion] = await Promise.all([
    leads.get(ctx, lead_id),
    conversionOf(ctx, lead_id)
  ])
  if (!conversion) throw notFound('conversion')
  return await shown(ctx, lead, conversion)
}

/**
 * Converts a lead, all or nothing, or says what it was converted into if that has happened: `is_new` tells which. Whoever comes at the
 * same time waits for the lead. `lenient` is not troubled by likely duplicates. `versions` are those of the lead.
 * Errors: 404, 412, 409 with the likely duplicates, 422 at the place in `asked`.
 */
export async function convert(
  ctx: Context,
  lead_id: number,
  asked: Static<typeof NewConversion>,
  lenient: boolean,
  versions?: Versions
) {
  return await holding(
    ctx,
    async ctx =>
      await inTurn(ctx, ['accounts', 'opportunities'], async ctx => {
        const lead = await leads.lock(ctx, lead_id)
        const known = await conversionOf(ctx, lead_id)
        if (known) return { conversion: await shown(ctx, lead, known), is_new: false }
        refuseStale(lead, versions)
        if (lead.status === 'converted')
          throw conflict('This lead came here as a converted one; into what is not known.')
        const { account, contact, opportunity } = await make(
          ctx,
          lead,
          await planned(ctx, lead, asked, lenient)
        )
        const contact_id = contact?.record.id ?? null
        const converted = await leads.convert(ctx, lead, contact_id)
        const conversion = await insert(ctx, {
          lead_id,
          contact_id,
          account_id: account?.record.id ?? null,
          opportunity_id: opportunity?.record.id ?? null,
          lead_before: {
            status: lead.status,
            contact_id: lead.contact_id,
            unqualified_reason: lead.unqualified_reason
          },
          traces: {
            ...(account && { account: account.trace }),
            ...(contact && { contact: contact.trace }),
            ...(opportunity && { opportunity: opportunity.trace })
          }
        })
        return { conversion: await shown(ctx, converted, conversion), is_new: true }
      })
  )
}

/** Takes a conversion back as far as nothing has changed since, and says what it left. Errors: 404 for a lead that is not there, or not converted, 412. */
export async function undo(
  ctx: Context,
  lead_id: number,
  versions?: Versions
): Promise<Static<typeof UndoneConversion>> {
  return await holding(ctx, async ctx => {
    const lead = await leads.lock(ctx, lead_id)
    const conversion = await conversionOf(ctx, lead_id)
    if (!conversion) throw notFound('conversion')
    refuseStale(lead, versions)
    await hold(ctx, conversion)
    await remove(ctx, conversion.id)
    const { contact_id, ...before } = conversion.lead_before
    const was_given = contact_id === null && conversion.contact_id !== null
    const has_changed = was_given && lead.contact_id !== conversion.contact_id
    const restored = await leads.unconvert(ctx, lead_id, {
      ...before,
      contact_id: was_given && !has_changed ? null : lead.contact_id
    })
    const { undone, left } = await takeBack(ctx, conversion)
    if (has_changed)
      left.unshift({ type: 'lead', id: lead_id, reason: 'Its contact_id has changed since.' })
    return { lead: restored, undone, left }
  })
}

/** Asked only of what would be done: whoever got no answer and asks again still has the version from before, and is to hear what came of it. */
function refuseStale({ version }: Lead, versions: Versions): void {
  if (versions && !versions.includes(version)) throw stale(version)
}

/** The conversion of a lead that was not taken back. */
const conversionOf = async (ctx: Context, lead_id: number): Promise<Row | undefined> =>
  (await list(ctx, { filters: [{ field: 'lead_id', operator: 'eq', value: lead_id }], limit: 1 }))
    .data[0]

/** A conversion with its records as they are now. */
async function shown(
  ctx: Context,
  lead: Lead,
  { account_id, contact_id, opportunity_id, traces, created_by }: Row
): Promise<Static<typeof Conversion>> {
  for (const area of ['accounts', 'contacts', 'opportunities']) ctx.require(`${area}:read`)
  const idsOf = (id: number | null) => (id === null ? [] : [id])
  const [[account = null], [contact = null], [opportunity = null]] = await Promise.all([
    accounts.find(ctx, idsOf(account_id)),
    contacts.find(ctx, idsOf(contact_id)),
    opportunities.find(ctx, idsOf(opportunity_id))
  ])
  return {
    lead,
    account,
    contact,
    opportunity,
    created: parts.filter(part => traces[part]?.created),
    filled: {
      account: filledOf(traces.account),
      contact: filledOf(traces.contact),
      opportunity: filledOf(traces.opportunity)
    },
    converted_at: lead.converted_at!,
    converted_by: created_by
  }
}

const filledOf = (trace?: Trace) => Object.keys(trace?.filled ?? {}).toSorted()

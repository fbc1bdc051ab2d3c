import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { withAttempts } from '../../../core/attempts.ts'
import type { Lock } from '../../../core/db/locks.ts'
import { conflict, hiddenFieldsNeeded, inPart, notFound, stale } from '../../../core/errors.ts'
import { equal } from '../../../core/records/filter.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import { defineOperation } from '../../../core/records/operations.ts'
import type { RowOf } from '../../../core/records/resource.ts'
import { undoCreation } from '../../../core/records/undo.ts'
import {
  assertWritable,
  isHidden,
  placesIn,
  placesOf,
  shownOf
} from '../../../core/records/visibility.ts'
import { assignmentRuleService } from '../../automation/assignment/service.ts'
import { accountResource } from '../../crm/accounts/resource.ts'
import { accountService } from '../../crm/accounts/service.ts'
import { contactResource } from '../../crm/contacts/resource.ts'
import { contactService } from '../../crm/contacts/service.ts'
import { leadResource } from '../../crm/leads/resource.ts'
import { leadService, type Lead } from '../../crm/leads/service.ts'
import { leads } from '../../crm/leads/table.ts'
import { opportunityResource } from '../opportunities/resource.ts'
import { opportunityService } from '../opportunities/service.ts'
import { carryOut } from './convert.ts'
import { accountPart, contactPart, opportunityPart } from './parts.ts'
import { draftConversion, locksOfDraft, planConversion, type Plan } from './plan.ts'
import { conversionResource } from './resource.ts'
import type { Conversion, NewConversion, UndoneConversion } from './schema.ts'
import { partNames } from './table.ts'
import { toConversionResult } from './undo.ts'

const records = repository(conversionResource)
const parts = [accountPart, contactPart, opportunityPart] as const
type Row = RowOf<typeof conversionResource>

const conversionOperation = defineOperation('conversion')

export const leadConversionService = {
  /** What a lead was converted into. Errors: 404 for an unknown lead, or one not converted. */
  async get(ctx: Context, lead_id: number): Promise<Static<typeof Conversion>> {
    assertSeen(ctx)
    const [lead, conversion] = await Promise.all([
      leadService.get(ctx, lead_id),
      findConversion(ctx, lead_id)
    ])
    if (!conversion) throw notFound('conversion')
    return await present(ctx, lead, conversion)
  },

  /**
   * Converts a lead, all or nothing, or returns what it was converted into before: `created` tells
   * which. Concurrent callers wait for the lead. `lenient` accepts likely duplicates. `versions`
   * are those of the lead. Errors: 404, 412, 409 with the likely duplicates, 422 at the place in
   * the request, 403 for callers who do not see or may not change what is converted.
   */
  async convert(
    ctx: Context,
    lead_id: number,
    requested: Static<typeof NewConversion>,
    lenient: boolean,
    versions?: Versions
  ) {
    assertChangeable(ctx, ['status'])
    await assertWishes(ctx, requested)
    return await withAttempts(maxAttempts, async () => {
      const draft = await draftConversion(ctx, await leadService.get(ctx, lead_id), requested)
      const locks = await locksOfDraft(ctx, draft)
      return await withConversionLocks(
        ctx,
        locks,
        async ctx => await convert(ctx, lead_id, requested, { lenient, versions, locks })
      )
    })
  },

  /**
   * Undoes a conversion as far as nothing has changed since, and reports what it left. Errors: 404
   * for an unknown lead, or one not converted; 412; 403 as for a conversion; 409 for a conversion
   * by a batch, which is undone as a whole.
   */
  async undo(
    ctx: Context,
    lead_id: number,
    versions?: Versions
  ): Promise<Static<typeof UndoneConversion>> {
    assertChangeable(ctx, ['status'])
    const { id } = await leadService.get(ctx, lead_id)
    const conversion = await findConversion(ctx, id)
    if (!conversion) throw notFound('conversion')
    const prepare = async (ctx: Context) => {
      const lead = await leadService.lock(ctx, id)
      // undone in the meantime
      if ((await findConversion(ctx, id))?.id !== conversion.id) throw notFound('conversion')
      assertVersion(lead, versions)
      assertChangeable(ctx, fieldsGivenBack(lead, conversion))
    }
    const result = await undoCreation(ctx, conversionResource, conversion.id, {
      kind: conversionOperation,
      prepare
    })
    const lead = await leadService.get(ctx, id)
    return { lead: shownOf(ctx, leadResource, lead), ...toConversionResult(conversion, result) }
  }
}

/** Errors: 403 if the caller does not see whether a lead was converted. */
function assertSeen(ctx: Context): void {
  if ([leads.status, leads.converted_at].some(column => isHidden(ctx, column)))
    throw hiddenFieldsNeeded()
}

/** Errors: 403 if the caller does not see conversions, or may not change these fields of leads. */
function assertChangeable(ctx: Context, fields: string[]): void {
  assertSeen(ctx)
  assertWritable(ctx, leadResource, 'update', placesOf(fields))
}

/** Errors: 400 and 403 at fields that the caller does not see or may not set. */
async function assertWishes(ctx: Context, requested: Static<typeof NewConversion>): Promise<void> {
  for (const { name, resource } of parts) {
    const { id, ...fields } = requested[name] ?? {}
    const action = id === undefined ? 'create' : 'update'
    const check = async () => assertWritable(ctx, resource, action, placesIn(fields))
    await inPart(name, check())
  }
}

/** How often a conversion is tried again because what it would create has changed meanwhile. */
const maxAttempts = 5

/** Runs `work` with these locks and those that every conversion needs. */
async function withConversionLocks<T>(
  ctx: Context,
  locks: Lock[],
  work: (ctx: Context) => Promise<T>
): Promise<T> {
  return await ctx.withLocks(
    ['sales_process:shared'],
    async ctx =>
      await assignmentRuleService.withRotationLock(
        ctx,
        ['accounts', 'opportunities'],
        async ctx => await ctx.withLocks(locks, work)
      )
  )
}

interface Conditions {
  lenient: boolean
  versions: Versions
  /** Those that are held for records that may be created. */
  locks: Lock[]
}

/** Converts a lead; undefined if that would create records without a lock. */
async function convert(
  ctx: Context,
  lead_id: number,
  requested: Static<typeof NewConversion>,
  { lenient, versions, locks }: Conditions
) {
  const lead = await leadService.lock(ctx, lead_id)
  const known = await findConversion(ctx, lead_id)
  if (known) return { conversion: await present(ctx, lead, known), created: false }
  assertVersion(lead, versions)
  if (lead.status === 'converted')
    throw conflict('The lead was converted elsewhere; its conversion is unknown.')
  const draft = await draftConversion(ctx, lead, requested)
  const needed = await locksOfDraft(ctx, draft)
  if (!needed.every(lock => locks.includes(lock))) return undefined
  const plan = await planConversion(ctx, draft, lenient)
  return await ctx.operation(conversionOperation, async ctx => await convertBy(ctx, lead, plan))
}

/** Converts a lead, which is locked, by a plan. */
async function convertBy(ctx: Context, lead: Lead, plan: Plan) {
  const { account, contact, opportunity } = await carryOut(ctx, lead, plan)
  const contact_id = contact?.record.id ?? null
  assertChangeable(ctx, [
    ...(contact_id !== null && lead.contact_id === null ? ['contact_id'] : []),
    ...(lead.unqualified_reason === null ? [] : ['unqualified_reason'])
  ])
  const converted = await leadService.convert(ctx, lead, contact_id)
  const conversion = await records.create(ctx, {
    lead_id: lead.id,
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
  return { conversion: await present(ctx, converted, conversion), created: true }
}

/** The fields, besides its status, that a lead gets back when its conversion is undone. */
const fieldsGivenBack = (lead: Lead, { contact_id, lead_before }: Row): string[] => [
  ...(lead_before.contact_id === null && contact_id !== null ? ['contact_id'] : []),
  ...(lead_before.unqualified_reason === lead.unqualified_reason ? [] : ['unqualified_reason'])
]

/**
 * Checked only before something is done: who got no response and asks again still has the version
 * from before the conversion.
 */
function assertVersion({ version }: Lead, versions: Versions): void {
  if (versions && !versions.includes(version)) throw stale(version)
}

/** The conversion of a lead, unless it was undone. */
const findConversion = async (ctx: Context, lead_id: number): Promise<Row | undefined> =>
  await records.first(ctx, { filters: equal({ lead_id }) })

/** A conversion with its records as they are now. */
async function present(
  ctx: Context,
  lead: Lead,
  { account_id, contact_id, opportunity_id, traces, created_by }: Row
): Promise<Static<typeof Conversion>> {
  for (const { resource } of parts) ctx.require(`${resource.path}:read`)
  const idsOf = (id: number | null) => (id === null ? [] : [id])
  const [[account = null], [contact = null], [opportunity = null]] = await Promise.all([
    accountService.find(ctx, idsOf(account_id)),
    contactService.find(ctx, idsOf(contact_id)),
    opportunityService.find(ctx, idsOf(opportunity_id))
  ])
  const filledOf = ({ name, resource }: (typeof parts)[number]) =>
    Object.keys(shownOf(ctx, resource, traces[name]?.filled ?? {})).toSorted()
  return {
    lead: shownOf(ctx, leadResource, lead),
    account: account && shownOf(ctx, accountResource, account),
    contact: contact && shownOf(ctx, contactResource, contact),
    opportunity: opportunity && shownOf(ctx, opportunityResource, opportunity),
    created: partNames.filter(part => traces[part]?.created),
    filled: {
      account: filledOf(accountPart),
      contact: filledOf(contactPart),
      opportunity: filledOf(opportunityPart)
    },
    converted_at: lead.converted_at!,
    converted_by: created_by
  }
}

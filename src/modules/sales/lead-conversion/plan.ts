import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { likelyDuplicates, unknownReference } from '../../../core/errors.ts'
import { NewAccount } from '../../crm/accounts/schema.ts'
import { accountService } from '../../crm/accounts/service.ts'
import { NewContact } from '../../crm/contacts/schema.ts'
import { contactService } from '../../crm/contacts/service.ts'
import type { Lead } from '../../crm/leads/service.ts'
import { findDuplicates } from './duplicates.ts'
import {
  assertComplete,
  type AccountFields,
  type ContactFields,
  type OpportunityFields
} from './parts.ts'
import type { NewConversion } from './schema.ts'

/** One part of a conversion: a record that exists, with fields to fill, or a new one. */
export type Wish<Fields> =
  | { kind: 'existing'; id: number; fields: Fields }
  | { kind: 'new'; fields: Fields }

/** What a lead is to be converted into; null: no such record. */
export interface Plan {
  account: Wish<AccountFields> | null
  contact: Wish<ContactFields> | null
  opportunity: Wish<OpportunityFields> | null
}

/** What is known of the person whom a conversion is about. */
interface Person {
  company?: string | null
  account_id?: number | null
}

/**
 * What a lead is to be converted into, by the request and, where it says nothing, by what is known.
 * Errors: 409 for likely duplicates unless `lenient`, 422.
 */
export async function planConversion(
  ctx: Context,
  lead: Lead,
  requested: Static<typeof NewConversion>,
  lenient: boolean
): Promise<Plan> {
  const contact =
    requested.contact === undefined ? await contactOf(ctx, lead) : wishFor(requested.contact)
  const person = await personOf(ctx, contact)
  const account =
    requested.account === undefined
      ? await accountOf(ctx, person)
      : namedAfterCompany(wishFor(requested.account), person)
  if (contact?.kind === 'new') assertComplete('contact', NewContact, contact.fields)
  if (account?.kind === 'new') assertComplete('account', NewAccount, account.fields)
  if (!lenient) await assertNoDuplicates(ctx, account, contact)
  const { opportunity = {} } = requested
  return { account, contact, opportunity: wishFor(opportunity) }
}

function wishFor<Fields extends object>(
  requested: (Fields & { id?: number | undefined }) | null
): Wish<Fields> | null {
  if (requested === null) return null
  const { id, ...rest } = requested
  const fields = rest as unknown as Fields
  return id === undefined ? { kind: 'new', fields } : { kind: 'existing', id, fields }
}

const existing = (id: number) => ({ kind: 'existing' as const, id, fields: {} })

async function contactOf(ctx: Context, { contact_id }: Lead): Promise<Plan['contact']> {
  const [contact] = contact_id === null ? [] : await contactService.find(ctx, [contact_id])
  return contact ? existing(contact.id) : null
}

/** Errors: 422 for an unknown contact. */
async function personOf(ctx: Context, contact: Plan['contact']): Promise<Person> {
  if (contact?.kind !== 'existing') return contact?.fields ?? {}
  const [found] = await contactService.find(ctx, [contact.id])
  if (!found) throw unknownReference(['contact/id'])
  return found
}

/** The account of a person, or the only one named like the company, or a new one of that name. */
async function accountOf(
  ctx: Context,
  { account_id = null, company }: Person
): Promise<Plan['account']> {
  const [account] = account_id === null ? [] : await accountService.find(ctx, [account_id])
  if (account) return existing(account.id)
  const name = company?.trim()
  if (!name) return null
  const [match, ...others] = await findDuplicates(ctx, 'account', { name })
  if (match && others.length === 0) return existing(match.id)
  return { kind: 'new', fields: { name } }
}

/** A new account without a name gets that of the person's company. */
function namedAfterCompany(account: Plan['account'], { company }: Person): Plan['account'] {
  const name = company?.trim()
  if (account?.kind !== 'new' || !name) return account
  return { kind: 'new', fields: { name, ...account.fields } }
}

async function assertNoDuplicates(
  ctx: Context,
  account: Plan['account'],
  contact: Plan['contact']
): Promise<void> {
  const matches = [
    ...(account?.kind === 'new' ? await findDuplicates(ctx, 'account', account.fields) : []),
    ...(contact?.kind === 'new' ? await findDuplicates(ctx, 'contact', contact.fields) : [])
  ]
  if (matches.length > 0) throw likelyDuplicates(matches)
}

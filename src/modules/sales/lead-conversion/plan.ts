import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import type { Lock } from '../../../core/db/locks.ts'
import { inPart, likelyDuplicates, unknownReference } from '../../../core/errors.ts'
import { assertWritable, placesIn, shownOf } from '../../../core/records/visibility.ts'
import { accountResource } from '../../crm/accounts/resource.ts'
import { NewAccount } from '../../crm/accounts/schema.ts'
import { accountService } from '../../crm/accounts/service.ts'
import { NewContact } from '../../crm/contacts/schema.ts'
import { contactResource } from '../../crm/contacts/resource.ts'
import { contactService } from '../../crm/contacts/service.ts'
import type { Lead } from '../../crm/leads/service.ts'
import { creationLocks, findDuplicates, isPlaceholder } from './duplicates.ts'
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

/** A plan before it was compared with the records that exist. */
export interface Draft extends Plan {
  /** Undefined: the contact does not exist. */
  person: Person | undefined
  /** The new account is only the company of the person: the one of its name will do. */
  byCompany: boolean
}

/** What a lead is to be converted into: by the request, or else by what is known of its contact. */
export async function draftConversion(
  ctx: Context,
  lead: Lead,
  requested: Static<typeof NewConversion>
): Promise<Draft> {
  const contact =
    requested.contact === undefined ? await contactOf(ctx, lead) : wishFor(requested.contact)
  const person = await personOf(ctx, contact)
  const account =
    requested.account === undefined
      ? await accountOf(ctx, person)
      : namedAfterCompany(wishFor(requested.account), person)
  const { opportunity = {} } = requested
  const byCompany = requested.account === undefined
  return { account, contact, opportunity: wishFor(opportunity), person, byCompany }
}

/** The locks for the records that a draft may create. */
export async function locksOfDraft(ctx: Context, { account, contact }: Draft): Promise<Lock[]> {
  return [
    ...(account?.kind === 'new' ? await creationLocks(ctx, 'account', account.fields) : []),
    ...(contact?.kind === 'new' ? await creationLocks(ctx, 'contact', contact.fields) : [])
  ]
}

/**
 * The plan of a draft, whose locks are held, with the records that exist. Errors: 409 for likely
 * duplicates unless `lenient`, 422.
 */
export async function planConversion(ctx: Context, draft: Draft, lenient: boolean): Promise<Plan> {
  const { contact, opportunity, person, byCompany } = draft
  if (!person) throw unknownReference(['contact/id'])
  const account = byCompany ? await existingIfKnown(ctx, draft.account) : draft.account
  if (contact?.kind === 'new') assertComplete('contact', NewContact, contact.fields)
  if (account?.kind === 'new') {
    assertComplete('account', NewAccount, account.fields)
    const { fields } = account
    const check = async () => assertWritable(ctx, accountResource, 'create', placesIn(fields))
    await inPart('account', check())
  }
  if (!lenient) await assertNoDuplicates(ctx, account, contact)
  return { account, contact, opportunity }
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

async function personOf(ctx: Context, contact: Plan['contact']): Promise<Person | undefined> {
  if (contact?.kind !== 'existing') return contact?.fields ?? {}
  const [person] = await contactService.find(ctx, [contact.id])
  return person && shownOf<Person>(ctx, contactResource, person)
}

/** The account of a person, or a new one named after the company. */
async function accountOf(ctx: Context, person: Person | undefined): Promise<Plan['account']> {
  const { account_id = null } = person ?? {}
  const [account] = account_id === null ? [] : await accountService.find(ctx, [account_id])
  if (account) return existing(account.id)
  const name = companyOf(person)
  return name === undefined ? null : { kind: 'new', fields: { name } }
}

/** The company of a person, unless that says that there is none. */
function companyOf(person: Person | undefined): string | undefined {
  const company = person?.company?.trim() ?? ''
  return isPlaceholder(company) ? undefined : company
}

/** The only account that has the name of a new one, or else the new one. */
async function existingIfKnown(ctx: Context, account: Plan['account']): Promise<Plan['account']> {
  if (account?.kind !== 'new') return account
  const [match, ...others] = await findDuplicates(ctx, 'account', account.fields)
  return match && others.length === 0 ? existing(match.id) : account
}

/** A new account without a name gets that of the person's company. */
function namedAfterCompany(account: Plan['account'], person: Person | undefined): Plan['account'] {
  const name = companyOf(person)
  if (account?.kind !== 'new' || name === undefined) return account
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

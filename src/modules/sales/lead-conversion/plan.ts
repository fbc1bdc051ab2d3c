import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import {
  inPart,
  likelyDuplicates,
  Problem,
  ruleBroken,
  unavailable,
  unknownReference
} from '../../../core/errors.ts'
import type { Identified } from '../../../core/http/responses.ts'
import { NewAccount } from '../../crm/accounts/schema.ts'
import * as accounts from '../../crm/accounts/service.ts'
import { NewContact } from '../../crm/contacts/schema.ts'
import * as contacts from '../../crm/contacts/service.ts'
import type { Lead } from '../../crm/leads/schema.ts'
import * as opportunities from '../opportunities/service.ts'
import { findActive } from '../../identity/users/service.ts'
import { duplicatesOf } from './duplicates.ts'
import type { NewConversion } from './schema.ts'
import type { Part, Trace } from './table.ts'

type Fields = Record<string, unknown>
/** A record that is there, with fields to fill; or, without `id`, a new one. */
type Wish = Fields & { id?: number | undefined }
/** What a lead is to become; null: none. */
type Plan = Record<Part, Wish | null>
interface Person {
  company?: string | null
  account_id?: number | null
}

interface Made<Row> {
  record: Row
  trace: Trace
}

/** The verbs of one part; `never`, since what they take was checked against their schemas. */
interface Verbs<Row> {
  find: (ctx: Context, ids: number[]) => Promise<Row[]>
  create: (ctx: Context, input: never) => Promise<Row>
  update: (ctx: Context, id: number, changes: never, versions: number[]) => Promise<Row>
}

/** What a lead is to become, with what is natural where nothing was asked for. Errors: 409 with the likely duplicates, 422. */
export async function planned(
  ctx: Context,
  lead: Static<typeof Lead>,
  asked: Static<typeof NewConversion>,
  lenient: boolean
): Promise<Plan> {
  const contact: Wish | null =
    asked.contact === undefined ? await contactOf(ctx, lead) : asked.contact
  const person = await personOf(ctx, contact)
  const company = person.company?.trim()
  const account: Wish | null =
    asked.account === undefined
      ? await accountOf(ctx, person)
      : isNew(asked.account)
        ? { ...(company && { name: company }), ...asked.account }
        : asked.account
  if (isNew(contact)) refuseMissing('contact', contact, NewContact.required)
  if (isNew(account)) refuseMissing('account', account, NewAccount.required)
  const matches = lenient
    ? []
    : [
        ...(isNew(account) ? await duplicatesOf(ctx, 'account', account) : []),
        ...(isNew(contact) ? await duplicatesOf(ctx, 'contact', contact) : [])
      ]
  if (matches.length > 0) throw likelyDuplicates(matches)
  return { account, contact, opportunity: asked.opportunity === undefined ? {} : asked.opportunity }
}

/** Makes what is new and fills what is empty. What is new gets the user of the lead, if that is still one to give work to. */
export async function make(ctx: Context, lead: Static<typeof Lead>, plan: Plan) {
  const [user] = lead.assigned_to === null ? [] : await findActive(ctx, [lead.assigned_to])
  const owner = user === undefined ? {} : { assigned_to: user }
  const account = await settle(ctx, 'account', accounts, plan.account, owner)
  const account_id = account?.record.id ?? null
  const contact = await settle(ctx, 'contact', contacts, plan.contact, {}, { account_id })
  const person = contact && `${contact.record.first_name} ${contact.record.last_name}`
  const title = account?.record.name ?? person ?? `Lead ${lead.id}`
  const opportunity = await settle(
    ctx,
    'opportunity',
    opportunities,
    plan.opportunity,
    { title, ...owner },
    { lead_id: lead.id, account_id }
  )
  return { account, contact, opportunity }
}

const isNew = (wish: Wish | null): wish is Wish => wish !== null && wish.id === undefined

async function contactOf(ctx: Context, { contact_id }: Static<typeof Lead>): Promise<Wish | null> {
  const [contact] = contact_id === null ? [] : await contacts.find(ctx, [contact_id])
  return contact ? { id: contact.id } : null
}

/** Whom a conversion is about, as far as it is known. Errors: 422. */
async function personOf(ctx: Context, contact: Wish | null): Promise<Person> {
  if (contact?.id === undefined) return (contact ?? {}) as Person
  const [found] = await contacts.find(ctx, [contact.id])
  if (!found) throw unknownReference(['contact/id'])
  return found
}

/** The account of a person, or the only one that is called like the company, or a new one of that name. */
async function accountOf(
  ctx: Context,
  { account_id = null, company }: Person
): Promise<Wish | null> {
  const [account] = account_id === null ? [] : await accounts.find(ctx, [account_id])
  if (account) return { id: account.id }
  const name = company?.trim()
  if (!name) return null
  const [namesake, ...others] = await duplicatesOf(ctx, 'account', { name })
  return namesake && others.length === 0 ? { id: namesake.id } : { name }
}

function refuseMissing(part: Part, wish: Wish, required: string[] = []): void {
  const missing = required.filter(field => wish[field] === undefined)
  if (missing.length > 0)
    throw ruleBroken(
      missing.map(field => `${part}/${field}`),
      `A new ${part} needs ${missing.join(' and ')}.`
    )
}

const areas = { account: 'accounts', contact: 'contacts', opportunity: 'opportunities' }

/**
 * Makes a part, or fills what is null of the one that is there. `natural` is what a new one has if nothing is said of it, `links` is what
 * either kind points at if it points at nothing. Errors: those of its service, at their place in the request.
 */
async function settle<Row extends Identified>(
  ctx: Context,
  part: Part,
  verbs: Verbs<Row>,
  wish: Wish | null,
  natural: Fields,
  links: Fields = {}
): Promise<Made<Row> | undefined> {
  if (wish === null) return undefined
  const { id, ...given } = wish
  const fields = {
    ...given,
    ...Object.fromEntries(Object.entries(links).filter(([name]) => (given[name] ?? null) === null))
  }
  if (id !== undefined) return await inPart(part, fill(ctx, part, verbs, id, fields))
  ctx.require(`${areas[part]}:write`)
  const record = await inPart(part, verbs.create(ctx, { ...natural, ...fields } as never))
  return { record, trace: { created: true, filled: {}, version: record.version } }
}

/** Fills those of the fields that are null. Where somebody else was faster it looks again, so that nothing of theirs is lost. */
async function fill<Row extends Identified>(
  ctx: Context,
  part: Part,
  verbs: Verbs<Row>,
  id: number,
  fields: Fields
): Promise<Made<Row>> {
  for (let attempt = 0; attempt < 10; attempt++) {
    const [record] = await verbs.find(ctx, [id])
    if (!record) throw unknownReference(['id'])
    const empty = Object.keys(fields).filter(
      name => (fields[name] ?? null) !== null && (record as Fields)[name] === null
    )
    if (empty.length === 0)
      return { record, trace: { created: false, filled: {}, version: record.version } }
    ctx.require(`${areas[part]}:write`)
    try {
      const changed = await verbs.update(ctx, id, pick(fields, empty) as never, [record.version])
      return {
        record: changed,
        trace: { created: false, filled: pick(changed as Fields, empty), version: changed.version }
      }
    } catch (error) {
      if (!(error instanceof Problem && error.status === 412)) throw error
    }
  }
  throw unavailable('Other writers were faster each time; nothing was changed. Try again.')
}

const pick = (fields: Fields, names: string[]) =>
  Object.fromEntries(names.map(name => [name, fields[name]]))

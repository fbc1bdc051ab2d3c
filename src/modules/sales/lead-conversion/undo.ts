import type { Static } from '@sinclair/typebox'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { RowOf } from '../../../core/records/repository.ts'
import type { Context } from '../../../core/access/context.ts'
import { query, run } from '../../../core/db/database.ts'
import { getTableColumns, sql } from '../../../core/db/drizzle.ts'
import { Problem } from '../../../core/errors.ts'
import type { Identified } from '../../../core/http/responses.ts'
import * as accounts from '../../crm/accounts/service.ts'
import { accounts as accountTable } from '../../crm/accounts/table.ts'
import { activityLinks } from '../../crm/activities/table.ts'
import { campaignMembers } from '../../marketing/campaign-members/table.ts'
import * as contacts from '../../crm/contacts/service.ts'
import { contacts as contactTable } from '../../crm/contacts/table.ts'
import { leads } from '../../crm/leads/table.ts'
import * as opportunities from '../opportunities/service.ts'
import { opportunities as opportunityTable } from '../opportunities/table.ts'
import type { UndoneConversion } from './schema.ts'
import { conversions, type Part, type Trace } from './table.ts'

interface Verbs {
  find: (ctx: Context, ids: number[]) => Promise<Identified[]>
  update: (ctx: Context, id: number, changes: never, versions: number[]) => Promise<unknown>
  remove: (ctx: Context, id: number, versions: number[]) => Promise<void>
}

/** How the records of each kind are written, and what may point at them, by the name it is told by. */
const kinds: Record<Part, { area: string; verbs: Verbs; pointers: Record<string, PgColumn> }> = {
  account: {
    area: 'accounts',
    verbs: accounts,
    pointers: {
      contacts: contactTable.account_id,
      opportunities: opportunityTable.account_id,
      accounts: accountTable.parent_account_id,
      activities: activityLinks.account_id,
      conversions: conversions.account_id
    }
  },
  contact: {
    area: 'contacts',
    verbs: contacts,
    pointers: {
      leads: leads.contact_id,
      campaign_members: campaignMembers.contact_id,
      activities: activityLinks.contact_id,
      conversions: conversions.contact_id
    }
  },
  opportunity: {
    area: 'opportunities',
    verbs: opportunities,
    pointers: { activities: activityLinks.opportunity_id, conversions: conversions.opportunity_id }
  }
}

type Taken = Pick<Static<typeof UndoneConversion>, 'undone' | 'left'>

/**
 * Locks what a conversion wrote, in the order in which it wrote it, or the two could wait for each other. Before the lead changes: its
 * scoring shares the contact, and two who share it could not both go on to write it.
 */
export async function hold(
  ctx: Context,
  { account_id, contact_id }: RowOf<typeof conversions>
): Promise<void> {
  if (account_id !== null) await accounts.lock(ctx, account_id).catch(isGone)
  if (contact_id !== null) await contacts.lock(ctx, contact_id).catch(isGone)
}

/**
 * Deletes what a conversion made and empties what it filled, where that is still as it left it and nothing points at it; the conversion
 * itself is gone by now. What points at others goes before them.
 */
export async function takeBack(
  ctx: Context,
  conversion: RowOf<typeof conversions>
): Promise<Taken> {
  const taken: Taken = { undone: [], left: [] }
  for (const part of ['opportunity', 'contact', 'account'] as const) {
    const id = conversion[`${part}_id`]
    const trace = conversion.traces[part]
    if (id === null || !trace) continue
    const { fields, reasons } = await undo(ctx, part, id, trace).catch(refused)
    if (fields) taken.undone.push({ type: part, id, ...(!trace.created && { fields }) })
    taken.left.push(...reasons.map(reason => ({ type: part, id, reason })))
  }
  return taken
}

/** What became of a part: the fields that are empty again, if it was undone, and why something was left. */
interface Outcome {
  fields?: string[]
  reasons: string[]
}

function isGone(error: unknown): void {
  if (!(error instanceof Problem && error.status === 404)) throw error
}

/** What its service does not let happen is left as it is. */
function refused(error: unknown): Outcome {
  if (error instanceof Problem && [409, 412, 422].includes(error.status))
    return { reasons: [error.detail] }
  throw error
}

async function undo(
  ctx: Context,
  part: Part,
  id: number,
  { created, filled, version }: Trace
): Promise<Outcome> {
  const { area, verbs } = kinds[part]
  const names = Object.keys(filled)
  if (!created && names.length === 0) return { reasons: [] }
  const [record] = await verbs.find(ctx, [id])
  if (!record) return { reasons: ['It has been deleted since.'] }
  ctx.require(`${area}:write`)
  if (created) {
    if (record.version !== version) return { reasons: ['It has changed since.'] }
    const pointing = await whoPointsAt(ctx, part, id)
    if (pointing.length > 0) return { reasons: [`It is used by ${pointing.join(', ')}.`] }
    await verbs.remove(ctx, id, [version])
    return { fields: [], reasons: [] }
  }
  const same = names.filter(name => (record as unknown as Trace['filled'])[name] === filled[name])
  if (same.length > 0)
    await verbs.update(ctx, id, Object.fromEntries(same.map(name => [name, null])) as never, [
      record.version
    ])
  return {
    ...(same.length > 0 && { fields: same }),
    reasons: names
      .filter(name => !same.includes(name))
      .map(name => `Its ${name} has changed since.`)
  }
}

async function whoPointsAt(ctx: Context, part: Part, id: number): Promise<string[]> {
  const asking = Object.entries(kinds[part].pointers).map(([name, column]) => {
    const { organization_id, deleted_at } = getTableColumns(column.table) as Record<
      string,
      PgColumn
    >
    const alive = deleted_at && sql` and ${deleted_at} is null`
    return sql`select ${name}::text as name where exists (select from ${column.table} where ${organization_id} = ${ctx.organization_id} and ${column} = ${id}${alive})`
  })
  return (
    await run(ctx.connection, query<{ name: string }>(sql.join(asking, sql` union all `), false))
  ).map(({ name }) => name)
}

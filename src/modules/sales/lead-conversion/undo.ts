import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import type { Lock } from '../../../core/db/locks.ts'
import { everyRow } from '../../../core/db/sql.ts'
import { Problem } from '../../../core/errors.ts'
import type { Identified } from '../../../core/http/responses.ts'
import { referencesTo, type Resource, type RowOf } from '../../../core/records/resource.ts'
import { accountService } from '../../crm/accounts/service.ts'
import { contactService } from '../../crm/contacts/service.ts'
import { creationLocks } from './duplicates.ts'
import { accountPart, contactPart, opportunityPart, type Part } from './parts.ts'
import type { conversionResource } from './resource.ts'
import type { UndoneConversion } from './schema.ts'
import type { Trace } from './table.ts'

type Conversion = RowOf<typeof conversionResource>
type Outcome = Pick<Static<typeof UndoneConversion>, 'undone' | 'left'>

/**
 * The locks for deleting the account that a conversion created: no other conversion uses it
 * meanwhile.
 */
export async function locksOfCreated(
  ctx: Context,
  { account_id, traces }: Conversion
): Promise<Lock[]> {
  if (account_id === null || !traces.account?.created) return []
  const [account] = await accountService.find(ctx, [account_id])
  return account ? await creationLocks(ctx, 'account', account) : []
}

/**
 * Locks what a conversion wrote, in the order in which it did, so that the two never wait for each
 * other. Before the lead changes: its scoring locks the contact in shared mode, and two who share
 * it could not both go on to write it.
 */
export async function lockParts(
  ctx: Context,
  { account_id, contact_id }: Conversion
): Promise<void> {
  if (account_id !== null) await accountService.lock(ctx.unlimited, account_id).catch(ignoreMissing)
  if (contact_id !== null) await contactService.lock(ctx.unlimited, contact_id).catch(ignoreMissing)
}

/**
 * Deletes what a conversion created and clears what it filled, where that is unchanged and nothing
 * refers to it; the conversion itself is deleted by then. What refers to others goes first.
 */
export async function undoParts(ctx: Context, conversion: Conversion): Promise<Outcome> {
  const { opportunity_id, contact_id, account_id, traces } = conversion
  const outcomes = [
    await undoPart(ctx, opportunityPart, opportunity_id, traces.opportunity),
    await undoPart(ctx, contactPart, contact_id, traces.contact),
    await undoPart(ctx, accountPart, account_id, traces.account)
  ]
  return {
    undone: outcomes.flatMap(({ undone }) => undone),
    left: outcomes.flatMap(({ left }) => left)
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Problem && error.status === 404)) throw error
}

async function undoPart<Row extends Identified, Fields extends object>(
  ctx: Context,
  part: Part<Row, Fields>,
  id: number | null,
  trace: Trace | undefined
): Promise<Outcome> {
  if (id === null || !trace) return { undone: [], left: [] }
  const type = part.name
  const left = (reason: string) => [{ type, id, reason }]
  const names = Object.keys(trace.filled)
  const isShown = (field: string) => !ctx.hiddenFields(part.resource.path).has(field)
  if (!trace.created && names.length === 0) return { undone: [], left: [] }
  const [record] = await part.find(ctx, [id])
  if (!record)
    return { undone: [], left: left('It has since been deleted, or you may not read it.') }
  ctx.require(`${part.resource.path}:${trace.created ? 'delete' : 'update'}`)
  try {
    if (!trace.created) {
      const { cleared, changed } = await clear(ctx, part, record, trace.filled)
      const undone = cleared.length > 0 ? [{ type, id, fields: cleared.filter(isShown) }] : []
      const seen = changed.filter(isShown)
      return { undone, left: seen.length > 0 ? left(sinceChanged(seen)) : [] }
    }
    if (record.version !== trace.version) return { undone: [], left: left('It has since changed.') }
    const users = await usersOf(ctx, part.resource, id)
    if (users.length > 0) return { undone: [], left: left(`It is used by ${users.join(', ')}.`) }
    await part.remove(ctx, id, [trace.version])
    return { undone: [{ type, id }], left: [] }
  } catch (error) {
    // what the service refuses is left as it is
    if (error instanceof Problem && [409, 412, 422].includes(error.status))
      return { undone: [], left: left(error.detail) }
    throw error
  }
}

const conjunction = new Intl.ListFormat('en')
const sinceChanged = (fields: string[]) =>
  `${conjunction.format(fields)} ${fields.length === 1 ? 'has' : 'have'} since changed.`

/** Clears the fields that still have the values that they were filled with. */
async function clear<Row extends Identified, Fields extends object>(
  ctx: Context,
  part: Part<Row, Fields>,
  record: Row,
  filled: Record<string, unknown>
): Promise<{ cleared: string[]; changed: string[] }> {
  const names = Object.keys(filled)
  const cleared = names.filter(
    name => (record as unknown as Record<string, unknown>)[name] === filled[name]
  )
  if (cleared.length > 0) {
    const nulls = Object.fromEntries(cleared.map(name => [name, null])) as Fields
    await part.update(ctx, record.id, nulls, [record.version])
  }
  return { cleared, changed: names.filter(name => !cleared.includes(name)) }
}

/** The kinds of records that refer to a record, by any foreign key of any resource. */
async function usersOf(ctx: Context, resource: Resource, id: number): Promise<string[]> {
  const queries = referencesTo(resource).map(
    ({ from, table, column }) => sql`select ${from.pluralLabel}::text as name
      where exists (select from ${everyRow(table)} where ${column} = ${id})`
  )
  const rows = await ctx.rows<{ name: string }>(sql.join(queries, sql` union all `))
  return [...new Set(rows.map(({ name }) => name))]
}

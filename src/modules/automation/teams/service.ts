import type { Static } from '@sinclair/typebox'
import { collection, type Versions } from '../../../core/records/repository.ts'
import type { Context } from '../../../core/access/context.ts'
import { soon } from '../../../core/db/database.ts'
import { unknownReference } from '../../../core/errors.ts'
import { findActive, findSummaries } from '../../identity/users/service.ts'
import type { NewTeam, TeamChanges } from './schema.ts'
import { teams } from './table.ts'

const { create: insert, update: change, lock, ...rest } = collection('team', teams)
export const { list, stream, get, find, remove, restore, history, cacheKey } = rest

/** Makes a team. Errors: 422 for a member who is no user. */
export async function create(ctx: Context, input: Static<typeof NewTeam>) {
  await refuseUnknown(ctx, input.member_ids)
  return await insert(ctx, input)
}

/** Changes a team. Errors: 422 for a new member who is no user; one who was a member and is gone by now may stay. */
export async function update(
  ctx: Context,
  id: number,
  changes: Static<typeof TeamChanges>,
  versions?: Versions
) {
  if (!changes.member_ids) return await change(ctx, id, changes, versions)
  return await ctx.transaction(async ctx => {
    await refuseUnknown(ctx, changes.member_ids, (await lock(ctx, id, versions)).member_ids)
    return await change(ctx, id, changes)
  })
}

/** An array has no foreign keys: this is theirs. */
async function refuseUnknown(
  ctx: Context,
  member_ids: number[] = [],
  before: number[] = []
): Promise<void> {
  const known = new Set([...before, ...(await findSummaries(ctx, member_ids)).map(({ id }) => id)])
  const unknown = member_ids.flatMap((id, i) => (known.has(id) ? [] : [`member_ids/${i}`]))
  if (unknown.length > 0) throw unknownReference(unknown)
}

/**
 * Waits until nobody else of the organisation takes a turn, until the transaction of `ctx` is over. There is one line for all teams, so
 * that two who need turns of two teams never wait for each other.
 */
export const waitForTurn = async (ctx: Context): Promise<void> => {
  await soon(
    ctx.connection`select pg_advisory_xact_lock(hashtextextended('turns', ${ctx.organization_id}))`
  )
}

/**
 * The active member of a team whose turn it is; null when it has none, or is gone. The turn is taken with the transaction of `ctx` and
 * given back if that fails.
 */
export async function nextMember(ctx: Context, id: number): Promise<number | null> {
  const [team] = await find(ctx, [id])
  const members = await findActive(ctx, team?.member_ids ?? [])
  if (members.length === 0) return null
  await waitForTurn(ctx)
  const [turn] = await soon(ctx.connection<{ turns: number }[]>`
    insert into team_turns (organization_id, team_id, turns) values (${ctx.organization_id}, ${id}, 1)
    on conflict (organization_id, team_id) do update set turns = team_turns.turns + 1 returning turns`)
  return members[(turn!.turns - 1) % members.length]!
}

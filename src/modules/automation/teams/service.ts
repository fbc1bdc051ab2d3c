import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { assertReachesAll } from '../../../core/access/risk.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { organization } from '../../../core/db/sql.ts'
import { conflict, ruleBroken, unknownReference } from '../../../core/errors.ts'
import { isBelow } from '../../../core/records/hierarchy.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import { userService } from '../../identity/users/service.ts'
import { teamResource } from './resource.ts'
import type { NewTeam, TeamChanges } from './schema.ts'
import { teams, teamTurns } from './table.ts'

const records = repository(teamResource)

export const teamService = {
  ...records,

  /**
   * Creates a team. Its members may reach each other's records from the next request on. Errors:
   * 409 for a taken name, 422 for a member who is not a user.
   */
  async create(ctx: Context, input: Static<typeof NewTeam>) {
    await assertMembers(ctx, input.member_ids)
    return await changeTeams(ctx, async ctx => await records.create(ctx, input))
  },

  /**
   * Changes a team. Errors: 404, 412, 409, 422 for a new member who is not a user (one whose user
   * was deleted may stay), and for a parent that is the team itself or below it.
   */
  async update(ctx: Context, id: number, changes: Static<typeof TeamChanges>, versions?: Versions) {
    const { member_ids, parent_team_id } = changes
    return await changeTeams(ctx, async ctx => {
      const before = await records.lock(ctx, id, versions)
      if (member_ids) await assertMembers(ctx, member_ids, before.member_ids)
      if (parent_team_id && (await isDescendant(ctx, parent_team_id, id)))
        throw ruleBroken('parent_team_id', 'A team cannot be its own parent.', { rule: 'no_cycle' })
      return await records.update(ctx, id, changes)
    })
  },

  /** Deletes a team: its members no longer reach each other's records by it. Errors: 404, 412. */
  async remove(ctx: Context, id: number, versions?: Versions): Promise<void> {
    await changeTeams(ctx, async ctx => await records.remove(ctx, id, versions))
  },

  /** Restores a team. Errors: 404, 409 for a taken name, or a parent that is now below it. */
  async restore(ctx: Context, id: number) {
    return await changeTeams(ctx, async ctx => {
      const team = await records.restore(ctx, id)
      if (team.parent_team_id !== null && (await isDescendant(ctx, team.parent_team_id, id)))
        throw conflict('The parent is now below this team: change its parent first.')
      return team
    })
  },

  /**
   * The active member of a team whose turn it is; null if there is none. Within a transaction,
   * with which the turn is taken, or given back if it fails.
   */
  async nextMember(ctx: Context, id: number): Promise<number | null> {
    const [team] = await records.find(ctx, [id])
    const members = await userService.findActive(ctx, team?.member_ids ?? [])
    if (members.length === 0) return null
    return await ctx.withLocks(['rotation'], async ctx => {
      const taken = await ctx.one<{ turns: number }>(sql`
        insert into ${teamTurns} (organization_id, team_id, turns)
        values (${organization}, ${id}, 1)
        on conflict (organization_id, team_id) do update set turns = team_turns.turns + 1
        returning turns`)
      return members[(taken!.turns - 1) % members.length]!
    })
  }
}

/**
 * Runs `work`, which changes teams, one such change at a time: parents must not form a cycle. Who
 * changes teams changes what others reach. Errors: 403 for those who may not change users, or who
 * reach only some records themselves.
 */
async function changeTeams<T>(ctx: Context, work: (ctx: Context) => Promise<T>): Promise<T> {
  ctx.require('users:update')
  assertReachesAll(ctx)
  return await ctx.withLocks(['hierarchy'], async ctx => {
    const result = await work(ctx)
    await ctx.forgetAccess()
    return result
  })
}

/** Whether a team is another one or below it. */
const isDescendant = async (ctx: Context, id: number, other: number): Promise<boolean> =>
  await isBelow(ctx, teams, teams.parent_team_id, id, other)

/** Arrays have no foreign keys: this replaces them. Errors: 422. */
async function assertMembers(
  ctx: Context,
  member_ids: number[] = [],
  before: number[] = []
): Promise<void> {
  const found = await userService.find(ctx, member_ids)
  const known = new Set([...before, ...found.map(({ id }) => id)])
  const unknown = member_ids.flatMap((id, i) => (known.has(id) ? [] : [`member_ids/${i}`]))
  if (unknown.length > 0) throw unknownReference(unknown)
}

import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { organization } from '../../../core/db/sql.ts'
import { unknownReference } from '../../../core/errors.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import { userService } from '../../identity/users/service.ts'
import { teamResource } from './resource.ts'
import type { NewTeam, TeamChanges } from './schema.ts'
import { teamTurns } from './table.ts'

const records = repository(teamResource)

export const teamService = {
  ...records,

  /** Creates a team. Errors: 409 for a taken name, 422 for a member who is not a user. */
  async create(ctx: Context, input: Static<typeof NewTeam>) {
    await assertMembers(ctx, input.member_ids)
    return await records.create(ctx, input)
  },

  /**
   * Changes a team. Errors: 404, 412, 409, 422 for a new member who is not a user; a member whose
   * user was deleted may stay.
   */
  async update(ctx: Context, id: number, changes: Static<typeof TeamChanges>, versions?: Versions) {
    const { member_ids } = changes
    if (!member_ids) return await records.update(ctx, id, changes, versions)
    return await ctx.transaction(async ctx => {
      const before = await records.lock(ctx, id, versions)
      await assertMembers(ctx, member_ids, before.member_ids)
      return await records.update(ctx, id, changes)
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

import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { getTableName, sql } from '../../../core/db/drizzle.ts'
import { ours, reached } from '../../../core/db/sql.ts'
import { forbidden, notFound, ruleBroken } from '../../../core/errors.ts'
import { equal } from '../../../core/records/filter.ts'
import type { ListQuery, Page } from '../../../core/records/list.ts'
import { repository } from '../../../core/records/repository.ts'
import type { Resource } from '../../../core/records/resource.ts'
import { shareResource } from './resource.ts'
import { Share, type NewShare } from './schema.ts'

const records = repository(shareResource)
const fields = Object.keys(Share.properties)
const ofRecord = ({ name }: Resource, id: number) => equal({ subject_type: name, subject_id: id })

export const shareService = {
  /** Whom a record is shared with. Errors: 404. */
  async list(
    ctx: Context,
    resource: Resource,
    id: number,
    page: Pick<ListQuery, 'limit' | 'cursor'>
  ): Promise<Page<Static<typeof Share>>> {
    await repository(resource).get(ctx, id)
    return await records.list(ctx, { ...page, fields, filters: ofRecord(resource, id) })
  },

  /**
   * Shares a record that the caller may change. Errors: 404, 403, 409 if it is shared with them
   * already, 422 for an unknown user or team.
   */
  async create(
    ctx: Context,
    resource: Resource,
    id: number,
    { user_id = null, team_id = null, access }: Static<typeof NewShare>
  ): Promise<Static<typeof Share>> {
    if ((user_id === null) === (team_id === null)) {
      const field = user_id === null ? 'user_id' : 'team_id'
      throw ruleBroken(field, 'A record is shared with either a user or a team.', {
        rule: 'either',
        fields: ['user_id', 'team_id']
      })
    }
    return await ctx.transaction(async ctx => {
      await lock(ctx, resource, id)
      const share = { subject_type: resource.name, subject_id: id, user_id, team_id, access }
      return shown(await records.create(ctx, share))
    })
  },

  /** Ends a share of a record that the caller may change. Errors: 404, 403. */
  async remove(ctx: Context, resource: Resource, id: number, share_id: number): Promise<void> {
    await ctx.transaction(async ctx => {
      await lock(ctx, resource, id)
      const [share] = await records.find(ctx, [share_id])
      if (share?.subject_type !== resource.name || share.subject_id !== id) throw notFound('share')
      await records.remove(ctx, share_id)
    })
  }
}

/** Errors: 404, 403 for a record that the caller may change only because it is shared. */
async function lock(ctx: Context, resource: Resource, id: number): Promise<void> {
  await repository(resource).lock(ctx, id)
  const table = getTableName(resource.table)
  const isOurs = await ctx.one(sql`select from ${ours(resource.table)}
    where id = ${id} and ${reached('reassign', table)}`)
  if (!isOurs) throw forbidden(`${resource.path}:update`)
}

const shown = (share: object) =>
  Object.fromEntries(
    Object.entries(share).filter(([name]) => fields.includes(name))
  ) as unknown as Static<typeof Share>

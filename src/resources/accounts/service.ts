import type { Static } from '@sinclair/typebox'
import { collection, type Versions } from '../../kit/collection.ts'
import type { Context } from '../../kit/context.ts'
import { ruleBroken } from '../../kit/errors.ts'
import type { AccountChanges } from './schema.ts'
import { accounts } from './table.ts'

const { update: change, ...rest } = collection('account', accounts)
export const { list, stream, get, find, create, createMany, remove, restore, history, cacheKey } = rest

/** Changes an account. Errors: 422 when its parent would be itself or stand below it. */
export async function update (ctx: Context, id: number, changes: Static<typeof AccountChanges>, versions?: Versions) {
  const parent = changes.parent_account_id
  if (parent === undefined || parent === null) return await change(ctx, id, changes, versions)
  return await ctx.transaction(async ctx => {
    // one at a time: two changes that are harmless each can make a circle together
    await ctx.connection`select pg_advisory_xact_lock(hashtextextended('account hierarchy', ${ctx.organization_id}))`
    const [circle] = await ctx.connection`
      with recursive above (id) as (
        select ${parent}::bigint
        union
        select a.parent_account_id from accounts a join above on a.id = above.id
        where a.organization_id = ${ctx.organization_id} and a.parent_account_id is not null
      ) select 1 from above where id = ${id}`
    if (circle) throw ruleBroken('parent_account_id', 'An account cannot belong to itself, directly or through others.')
    return await change(ctx, id, changes, versions)
  })
}

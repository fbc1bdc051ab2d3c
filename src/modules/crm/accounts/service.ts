import type { Static } from '@sinclair/typebox'
import { collection, type Versions } from '../../../core/records/repository.ts'
import type { Context } from '../../../core/access/context.ts'
import { soon } from '../../../core/db/database.ts'
import { ruleBroken } from '../../../core/errors.ts'
import type { Filter, ListQuery } from '../../../core/records/list.ts'
import { assigned } from '../../automation/assignment/service.ts'
import * as territories from '../../automation/territories/service.ts'
import type { AccountChanges, NewAccount } from './schema.ts'
import { accounts } from './table.ts'

const {
  list: select,
  stream: selectAll,
  create: insert,
  update: change,
  wouldMeet,
  ...rest
} = collection('account', accounts)
export const { get, find, lock, createMany, remove, restore, history, cacheKey } = rest

/** A page of accounts; `territory_id` stands for the filters of the territory. */
export const list = async (ctx: Context, query: ListQuery = {}) =>
  await select(ctx, await withTerritories(ctx, query))

/** All of them, in batches. */
export async function* stream(ctx: Context, query: ListQuery = {}) {
  yield* selectAll(ctx, await withTerritories(ctx, query))
}

const nothing: Filter = { field: 'id', operator: 'in', value: [] }

async function withTerritories(ctx: Context, query: ListQuery): Promise<ListQuery> {
  const filters = await Promise.all(
    (query.filters ?? []).map(async filter => {
      if (filter.field !== 'territory_id') return [filter]
      const [territory] = await territories.find(ctx, [filter.value as number])
      return territory ? territories.filtersOf(territory) : [nothing]
    })
  )
  return { ...query, filters: filters.flat() }
}

/** A page of the territories that an account is in: those among the next 200 of all, so a page may be short and have another one. Errors: 404. */
export async function territoriesOf(
  ctx: Context,
  id: number,
  { cursor }: Pick<ListQuery, 'cursor'>
) {
  const account = await get(ctx, id)
  const { data, ...page } = await territories.list(ctx, {
    sort: [{ field: 'name', descending: false }],
    limit: 200,
    ...(cursor !== undefined && { cursor })
  })
  const isIn = await wouldMeet(ctx, account, data.map(territories.filtersOf))
  return { data: data.filter((_, i) => isIn[i]), ...page }
}

/** Makes an account, assigned by the rules if nobody is named. */
export const create = async (ctx: Context, input: Static<typeof NewAccount>) =>
  await assigned(ctx, 'accounts', input, insert)

/** Changes an account. Errors: 422 when its parent would be itself or stand below it. */
export async function update(
  ctx: Context,
  id: number,
  changes: Static<typeof AccountChanges>,
  versions?: Versions
) {
  const parent = changes.parent_account_id
  if (parent === undefined || parent === null) return await change(ctx, id, changes, versions)
  return await ctx.transaction(async ctx => {
    // one at a time: two changes that are harmless each can make a circle together
    await soon(
      ctx.connection`select pg_advisory_xact_lock(hashtextextended('account hierarchy', ${ctx.organization_id}))`
    )
    const [circle] = await soon(ctx.connection`
      with recursive above (id) as (
        select ${parent}::bigint
        union
        select a.parent_account_id from accounts a join above on a.id = above.id
        where a.organization_id = ${ctx.organization_id} and a.parent_account_id is not null
      ) select 1 from above where id = ${id}`)
    if (circle)
      throw ruleBroken(
        'parent_account_id',
        'An account cannot belong to itself, directly or through others.'
      )
    return await change(ctx, id, changes, versions)
  })
}

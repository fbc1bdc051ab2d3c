import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { defined } from '../../../core/defined.ts'
import { conflict, ruleBroken, unknownReference } from '../../../core/errors.ts'
import type { Filter } from '../../../core/records/filter.ts'
import type { ListQuery } from '../../../core/records/list.ts'
import { isBelow } from '../../../core/records/hierarchy.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import { assignmentRuleService } from '../../automation/assignment/service.ts'
import { territoryService } from '../../automation/territories/service.ts'
import { accountResource } from './resource.ts'
import type { AccountChanges, NewAccount } from './schema.ts'
import { accounts } from './table.ts'

const records = repository(accountResource)
const maxTerritories = 200

export const accountService = {
  ...records,

  /** Runs `work`, which writes accounts, with the lock that comes before those of keys. */
  async withLocks<T>(ctx: Context, work: (ctx: Context) => Promise<T>): Promise<T> {
    return await assignmentRuleService.withRotationLock(ctx, ['accounts'], work)
  },

  /** One page; `territory_id` means the filters of the territory. Errors: 400. */
  async list(ctx: Context, query: ListQuery = {}) {
    return await records.list(ctx, await withTerritoryFilters(ctx, query))
  },

  /** The whole list in batches. */
  async *stream(ctx: Context, query: ListQuery = {}) {
    yield* records.stream(ctx, await withTerritoryFilters(ctx, query))
  },

  /**
   * The territories that an account is in, of the next 200 by name: a page may have fewer, or
   * none, and still be followed by another one. Errors: 404.
   */
  async territoriesOf(ctx: Context, id: number, { cursor }: Pick<ListQuery, 'cursor'>) {
    const account = await records.get(ctx, id)
    const { data, ...page } = await territoryService.list(ctx, {
      sort: [{ field: 'name', descending: false }],
      limit: maxTerritories,
      ...defined({ cursor })
    })
    const filters = data.map(territory => territoryService.filtersOf(ctx, territory))
    const matches = await records.wouldMatch(ctx, account, filters)
    return { data: data.filter((_, i) => matches[i]), ...page }
  },

  /** Creates an account, assigned by the rules if it names no user. Errors: 422. */
  async create(ctx: Context, input: Static<typeof NewAccount>) {
    return await assignmentRuleService.assign(ctx, 'accounts', input, records.create)
  },

  /** Changes an account. Errors: 404, 412, 422 for a parent that is itself or below it. */
  async update(
    ctx: Context,
    id: number,
    changes: Static<typeof AccountChanges>,
    versions?: Versions
  ) {
    const parent_id = changes.parent_account_id
    if (parent_id === undefined || parent_id === null)
      return await records.update(ctx, id, changes, versions)
    // one at a time: two changes that are valid by themselves can form a cycle together
    return await ctx.withLocks(['hierarchy'], async ctx => {
      const before = await records.lock(ctx, id, versions)
      const isKnown = (await records.find(ctx, [parent_id])).length > 0
      if (!isKnown && parent_id !== before.parent_account_id)
        throw unknownReference(['parent_account_id'])
      if (await isDescendant(ctx, parent_id, id))
        throw ruleBroken(
          'parent_account_id',
          'An account cannot be its own parent, directly or indirectly.',
          { rule: 'no_cycle' }
        )
      return await records.update(ctx, id, changes, versions)
    })
  },

  /** Restores an account. Errors: 404, 409 when its parent has since been put below it. */
  async restore(ctx: Context, id: number) {
    return await ctx.withLocks(['hierarchy'], async ctx => {
      const account = await records.restore(ctx, id)
      const { parent_account_id } = account
      if (parent_account_id !== null && (await isDescendant(ctx, parent_account_id, id)))
        throw conflict(
          `The parent, account ${parent_account_id}, is now a descendant of this account. Change ` +
            `the parent of account ${parent_account_id} first.`
        )
      return account
    })
  }
}

const matchesNothing: Filter = { field: 'id', operator: 'in', value: [] }

async function withTerritoryFilters(ctx: Context, query: ListQuery): Promise<ListQuery> {
  const filters = await Promise.all(
    (query.filters ?? []).map(async filter => {
      if (filter.field !== 'territory_id') return [filter]
      const [territory] = await territoryService.find(ctx, [filter.value as number])
      return territory ? territoryService.filtersOf(ctx, territory) : [matchesNothing]
    })
  )
  return { ...query, filters: filters.flat() }
}

/** Whether an account is another one, or below it. */
const isDescendant = async (ctx: Context, id: number, other: number): Promise<boolean> =>
  await isBelow(ctx, accounts, accounts.parent_account_id, id, other)

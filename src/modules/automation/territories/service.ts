import type { Static } from '@sinclair/typebox'
import { collection, type Versions } from '../../../core/records/repository.ts'
import type { Context } from '../../../core/access/context.ts'
import { filterLanguage } from '../../../core/records/list-query.ts'
import { Account } from '../../crm/accounts/schema.ts'
import type { NewTerritory, TerritoryChanges } from './schema.ts'
import { territories } from './table.ts'

const { create: insert, update: change, ...rest } = collection('territory', territories)
export const { list, stream, get, find, remove, restore, history, cacheKey } = rest
const language = filterLanguage({ record: Account, filter: ['country', 'state', 'industry'] })

/** The filters that a territory says: what an account must meet to be in it. Errors: 422 when it says something else. */
export const filtersOf = ({ filter = '' }: { filter?: string }) => language.parse(filter, 'filter')

/** Makes a territory. Errors: 422 for a filter by anything but country, state and industry. */
export async function create(ctx: Context, input: Static<typeof NewTerritory>) {
  filtersOf(input)
  return await insert(ctx, input)
}

/** Changes a territory. Errors: as `create`. */
export async function update(
  ctx: Context,
  id: number,
  changes: Static<typeof TerritoryChanges>,
  versions?: Versions
) {
  filtersOf(changes)
  return await change(ctx, id, changes, versions)
}

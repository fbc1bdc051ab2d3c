import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { hiddenFieldsNeeded } from '../../../core/errors.ts'
import { FilterLanguage } from '../../../core/records/filter-language.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import { Account } from '../../crm/accounts/schema.ts'
import { accounts } from '../../crm/accounts/table.ts'
import { territoryResource } from './resource.ts'
import type { NewTerritory, TerritoryChanges } from './schema.ts'

const records = repository(territoryResource)
const language = new FilterLanguage({
  table: accounts,
  schema: Account,
  filters: ['country', 'state', 'industry']
})

export const territoryService = {
  ...records,

  /**
   * The filters that an account must match to be in a territory. Errors: 403 for fields that the
   * caller does not see.
   */
  filtersOf(ctx: Context, { filter }: { filter: string }) {
    if (language.isHidden(ctx, filter)) throw hiddenFieldsNeeded()
    return language.parseStored(filter, 'filter')
  },

  /** Creates a territory. Errors: 409, 422 for a filter by another field. */
  async create(ctx: Context, input: Static<typeof NewTerritory>) {
    language.parse(ctx, input.filter ?? '', 'filter')
    return await records.create(ctx, input)
  },

  /** Changes a territory. Errors: 404, 412, 409, 422 as `create`. */
  async update(
    ctx: Context,
    id: number,
    changes: Static<typeof TerritoryChanges>,
    versions?: Versions
  ) {
    language.parse(ctx, changes.filter ?? '', 'filter')
    return await records.update(ctx, id, changes, versions)
  }
}

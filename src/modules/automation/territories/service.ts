import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { FilterLanguage } from '../../../core/records/filter-language.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import { Account } from '../../crm/accounts/schema.ts'
import { territoryResource } from './resource.ts'
import type { NewTerritory, TerritoryChanges } from './schema.ts'

const records = repository(territoryResource)
const language = new FilterLanguage({ schema: Account, filters: ['country', 'state', 'industry'] })

export const territoryService = {
  ...records,

  /** The filters that an account must match to be in a territory. Errors: 422 for others. */
  filtersOf: ({ filter = '' }: { filter?: string }) => language.parse(filter, 'filter'),

  /** Creates a territory. Errors: 409, 422 for a filter by another field. */
  async create(ctx: Context, input: Static<typeof NewTerritory>) {
    territoryService.filtersOf(input)
    return await records.create(ctx, input)
  },

  /** Changes a territory. Errors: 404, 412, 409, 422 as `create`. */
  async update(
    ctx: Context,
    id: number,
    changes: Static<typeof TerritoryChanges>,
    versions?: Versions
  ) {
    territoryService.filtersOf(changes)
    return await records.update(ctx, id, changes, versions)
  }
}

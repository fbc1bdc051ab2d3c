import { sql } from '../../../core/db/drizzle.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { NewTerritory, Territory, TerritoryChanges } from './schema.ts'
import { filterable, territories } from './table.ts'

export const territoryResource = defineResource({
  name: 'territory',
  plural: 'territories',
  description: 'Parts of the market. Managed by admins.',
  table: territories,
  schema: Territory,
  create: NewTerritory,
  update: TerritoryChanges,
  filters: ['id', ...filterable],
  sorts: ['id', 'name', 'created_at', 'updated_at'],
  include: { team: 'team_id' },
  title: sql`${territories.name}`,
  access: 'settings'
})

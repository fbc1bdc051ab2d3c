import { Change, Creation, Id, Name, Nullable, RecordOf } from '../../../core/http/schema.ts'

const fields = {
  name: Name(100, {
    description: 'What it is called; unique, whatever the case.',
    example: 'Midwest'
  }),
  filter: Name(1000, {
    description:
      'The accounts in it: filters of their list by country, state and industry, as in a query string.',
    example: 'country=United States&state[in]=Illinois,Ohio'
  }),
  team_id: Nullable(Id({ description: 'The team that works it.', example: 1 }))
}

export const Territory = RecordOf(
  'Territory',
  'A part of the market: the accounts that meet its filter, at any time.',
  fields
)
export const NewTerritory = Creation('NewTerritory', fields, ['name', 'filter'], {
  name: 'Midwest',
  filter: 'country=United States&state[in]=Illinois,Ohio',
  team_id: 1
})
export const TerritoryChanges = Change('TerritoryChanges', fields, {
  filter: 'country=United States&state[in]=Illinois,Indiana,Ohio'
})

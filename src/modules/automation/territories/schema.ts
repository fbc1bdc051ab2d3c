import { Change, Creation, Id, Name, Nullable, RecordOf } from '../../../core/http/schema.ts'

const fields = {
  name: Name(100, { description: 'Name, unique regardless of case.', example: 'Midwest' }),
  filter: Name(1000, {
    description:
      'Accounts in the territory: filters of their list by country, state and industry, as a ' +
      'query string.',
    example: 'country=United States&state[in]=Illinois,Ohio'
  }),
  team_id: Nullable(Id({ description: 'Team that works the territory.', example: 1 }))
}

export const Territory = RecordOf(
  'Territory',
  'A part of the market: the accounts that currently match its filter.',
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

import { Type, type TSchema } from '@sinclair/typebox'
import {
  Change,
  Count,
  Creation,
  DateOnly,
  Id,
  Money,
  Name,
  Nullable,
  OneOf,
  RecordOf,
  TagIds,
  Text
} from '../../../core/http/schema.ts'
import { statuses as memberStatuses } from '../campaign-members/table.ts'
import { statuses, types } from './table.ts'

const fields = {
  name: Name(200, { description: 'What it is called.', example: 'Spring fair' }),
  type: OneOf(types, { default: 'email', description: 'How it reaches people.', example: 'event' }),
  status: OneOf(statuses, { default: 'planned', description: 'How far it is.', example: 'active' }),
  start_date: Nullable(DateOnly({ description: 'Its first day.', example: '2027-03-01' })),
  end_date: Nullable(
    DateOnly({ description: 'Its last day, not before the first.', example: '2027-03-31' })
  ),
  budget: Nullable(Money(9_999_999_999.99, { description: 'What it may cost.', example: 12000.0 })),
  description: Nullable(
    Text(10_000, {
      description: 'What it is about.',
      example: 'Our stand at the fair in Springfield.'
    })
  ),
  assigned_to: Nullable(Id({ description: 'The user who runs it.', example: 1 })),
  tags: TagIds()
}

export const Campaign = RecordOf('Campaign', 'What is done to win customers.', fields)
export const NewCampaign = Creation('NewCampaign', fields, ['name'], {
  name: 'Spring fair',
  type: 'event',
  start_date: '2027-03-01',
  end_date: '2027-03-31',
  budget: 12000,
  assigned_to: 1
})
export const CampaignChanges = Change('CampaignChanges', fields, {
  status: 'active',
  budget: 15000
})

export const sources = ['contacts', 'leads'] as const

export const AddedMembers = Type.Object(
  {
    resource: OneOf(sources, { description: 'What to add.', example: 'contacts' }),
    filter: Text(1000, {
      description: 'Which of them: filters of their list, as in a query string. Empty: all.',
      example: 'company[like]=example'
    })
  },
  {
    $id: 'AddedMembers',
    additionalProperties: false,
    description: 'Who becomes a member.',
    example: { resource: 'contacts', filter: 'company[like]=example' }
  }
)

export const Addition = Type.Object(
  {
    added: Count({
      description: 'How many became members at once; those who were are not counted.',
      example: 1
    }),
    pending: Type.Boolean({
      description: 'Whether there are more, who become members within the next minutes.',
      example: false
    })
  },
  { $id: 'Addition', additionalProperties: false, description: 'What came of adding members.' }
)

/** A number with the list whose rows make it up: how many they are, or the sum of their amounts. */
const cell = (value: TSchema, list: string, filter: string, description: string) =>
  Type.Object(
    {
      value,
      list: Text(100, { description: 'The path of the list.', example: list }),
      filter: Text(1000, { description: 'Its query string.', example: filter })
    },
    { additionalProperties: false, description }
  )
const members = (filter: string, description: string) =>
  cell(Count({ example: 1 }), '/api/campaign-members', `campaign_id=1${filter}`, description)
const opportunities = (filter: string, description: string) =>
  cell(Count({ example: 1 }), '/api/opportunities', `campaign_id=1${filter}`, description)
const amount = (filter: string, description: string) =>
  cell(
    Money(Number.MAX_SAFE_INTEGER, { example: 50000 }),
    '/api/opportunities',
    `campaign_id=1${filter}`,
    description
  )

export const CampaignResults = Type.Object(
  {
    members: members('', 'The members.'),
    by_status: Type.Object(
      Object.fromEntries(
        memberStatuses.map(status => [
          status,
          members(`&status=${status}`, `The members who are ${status}.`)
        ])
      ),
      { additionalProperties: false, description: 'The members by status.' }
    ),
    responded: members(
      '&status[in]=responded,declined',
      'The members who answered, whatever they said.'
    ),
    response_rate: Nullable(
      Type.Number({
        format: 'double',
        minimum: 0,
        maximum: 1,
        description: 'Responses for each member; null without members.',
        example: 0.25
      })
    ),
    opportunities: opportunities(
      '',
      'The opportunities that came after: those of a lead which, or whose contact, was a member before.'
    ),
    open: opportunities('&status=open', 'Those that are still open.'),
    open_amount: amount('&status=open', 'What these would bring.'),
    won: opportunities('&status=won', 'Those that were won.'),
    won_amount: amount('&status=won', 'What these brought.'),
    lost: opportunities('&status=lost', 'Those that were lost.')
  },
  { $id: 'CampaignResults', additionalProperties: false, description: 'What a campaign brought.' }
)

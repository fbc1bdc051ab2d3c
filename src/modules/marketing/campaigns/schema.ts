import { Type, type TSchema } from '@sinclair/typebox'
import { ExternalIds } from '../../../core/http/external-ids.ts'
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
  Text
} from '../../../core/http/schema.ts'
import { TagIds } from '../../crm/tags/schema.ts'
import { statuses as memberStatuses } from '../campaign-members/table.ts'
import { statuses, types } from './table.ts'

const fields = {
  name: Name(200, { description: 'Name.', example: 'Spring fair' }),
  type: OneOf(types, { default: 'email', description: 'Channel.', example: 'event' }),
  status: OneOf(statuses, { default: 'planned', description: 'Status.', example: 'active' }),
  start_date: Nullable(DateOnly({ description: 'First day.', example: '2027-03-01' })),
  end_date: Nullable(
    DateOnly({ description: 'Last day; not before `start_date`.', example: '2027-03-31' })
  ),
  budget: Nullable(Money(9_999_999_999.99, { description: 'Budget.', example: 12000.0 })),
  description: Nullable(
    Text(10_000, {
      description: 'Description.',
      example: 'Our booth at the fair in Springfield.'
    })
  ),
  assigned_to: Nullable(Id({ description: 'User assigned to the campaign.', example: 1 })),
  tags: TagIds(),
  external_ids: ExternalIds()
}

export const Campaign = RecordOf('Campaign', 'A marketing campaign.', fields)
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
    resource: OneOf(sources, { description: 'Records to add.', example: 'leads' }),
    filter: Text(1000, {
      description: 'Filters of their list, as a query string. Empty: all.',
      example: 'source=website'
    })
  },
  {
    $id: 'AddedMembers',
    additionalProperties: false,
    description: 'Members to add.',
    example: { resource: 'leads', filter: 'source=website' }
  }
)

export const Addition = Type.Object(
  {
    added: Count({
      description: 'Number of members added immediately; existing members are not counted.',
      example: 1
    }),
    pending: Type.Boolean({
      description: 'Whether more will be added over the next few minutes.',
      example: false
    })
  },
  { $id: 'Addition', additionalProperties: false, description: 'The result of adding members.' }
)

/** A number with the list that it counts, or whose amounts it adds up. */
const cell = (value: TSchema, list: string, filter: string, description: string) =>
  Type.Object(
    {
      value,
      list: Text(100, { description: 'Path of the list.', example: list }),
      filter: Text(1000, { description: 'Query string of the list.', example: filter })
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
    members: members('', 'Members.'),
    by_status: Type.Object(
      Object.fromEntries(
        memberStatuses.map(status => [
          status,
          members(`&status=${status}`, `Members with the status ${status}.`)
        ])
      ),
      { additionalProperties: false, description: 'Members by status.' }
    ),
    responded: members('&status[in]=responded,declined', 'Members who responded or declined.'),
    response_rate: Nullable(
      Type.Number({
        format: 'double',
        minimum: 0,
        maximum: 1,
        description: 'Share of members who responded or declined; null without members.',
        example: 0.25
      })
    ),
    opportunities: opportunities(
      '',
      'Opportunities created after their lead, or its contact, became a member.'
    ),
    open: opportunities('&status=open', 'Open opportunities.'),
    open_amount: amount('&status=open', 'Total amount of the open opportunities.'),
    won: opportunities('&status=won', 'Won opportunities.'),
    won_amount: amount('&status=won', 'Total amount of the won opportunities.'),
    lost: opportunities('&status=lost', 'Lost opportunities.')
  },
  { $id: 'CampaignResults', additionalProperties: false, description: 'The results of a campaign.' }
)

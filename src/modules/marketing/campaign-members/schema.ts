import {
  Change,
  Creation,
  Id,
  Instant,
  Nullable,
  OneOf,
  RecordOf
} from '../../../core/http/schema.ts'
import { statuses } from './table.ts'

const fields = {
  campaign_id: Id({ description: 'The campaign.', example: 1 }),
  contact_id: Nullable(
    Id({ description: 'The contact that is a member. Either this or lead_id.', example: 1 })
  ),
  lead_id: Nullable(
    Id({ description: 'The lead that is a member. Either this or contact_id.', example: null })
  ),
  status: OneOf(statuses, {
    default: 'added',
    description: 'How far it has come: declined is a response as well.',
    example: 'added'
  })
}
const kept = {
  responded_at: Nullable(
    Instant({
      description: 'When the member first responded or declined; null if it has not.',
      example: null
    })
  )
}

export const CampaignMember = RecordOf(
  'CampaignMember',
  'A contact or a lead that a campaign is for, once in each campaign.',
  { ...fields, ...kept }
)
export const NewCampaignMember = Creation('NewCampaignMember', fields, ['campaign_id'], {
  campaign_id: 1,
  contact_id: 1
})
export const CampaignMemberChanges = Change(
  'CampaignMemberChanges',
  { status: fields.status },
  { status: 'responded' }
)

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
  campaign_id: Id({ description: 'Campaign ID.', example: 1 }),
  contact_id: Nullable(
    Id({
      description:
        'Contact that is the member. Exactly one of `contact_id` and `lead_id` is required.',
      example: 1
    })
  ),
  lead_id: Nullable(
    Id({
      description:
        'Lead that is the member. Exactly one of `contact_id` and `lead_id` is required.',
      example: null
    })
  ),
  status: OneOf(statuses, {
    default: 'added',
    description: 'Status. Both responded and declined are responses.',
    example: 'added'
  })
}
const serverSet = {
  responded_at: Nullable(
    Instant({
      description: 'Time when the member first responded or declined; null otherwise.',
      example: null
    })
  )
}

export const CampaignMember = RecordOf(
  'CampaignMember',
  'A contact or lead that a campaign targets, at most once per campaign.',
  { ...fields, ...serverSet }
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

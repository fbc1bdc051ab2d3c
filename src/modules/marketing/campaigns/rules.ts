import { ruleBroken } from '../../../core/errors.ts'
import type { RowOf } from '../../../core/records/resource.ts'
import { rulesFor } from '../../../core/records/rules.ts'
import type { campaignResource } from './resource.ts'

const rule = rulesFor<RowOf<typeof campaignResource>>()

const endsAfterStart = rule(['start_date', 'end_date'], ({ after: { start_date, end_date } }) => {
  if (start_date !== null && end_date !== null && end_date < start_date)
    throw ruleBroken('end_date', '`end_date` must not be before `start_date`.', {
      rule: 'not_before',
      field: 'start_date',
      minimum: start_date
    })
})

/** What must hold whenever a campaign is created or updated. */
export const campaignRules = [endsAfterStart]

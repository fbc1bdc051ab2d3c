import { Type } from '@sinclair/typebox'
import { explained, Id } from '../../../core/http/schema.ts'
import { FilterLanguage } from '../../../core/records/filter-language.ts'
import { activityResource } from '../../crm/activities/resource.ts'
import { leadResource } from '../../crm/leads/resource.ts'
import { opportunityResource } from '../../sales/opportunities/resource.ts'

export const opportunityLanguage = new FilterLanguage(opportunityResource)
export const activityLanguage = new FilterLanguage(activityResource)

/**
 * The filters that leads and opportunities have in common, for reports that count both. The lists
 * have their conditions.
 */
export const cohortLanguage = new FilterLanguage({
  schema: leadResource.schema!,
  filters: ['assigned_to', 'tags', 'created_at'],
  virtualFilters: {
    campaign_id: {
      schema: Id({
        description: 'The lead, or the lead of the opportunity, is a member of this campaign.'
      })
    }
  }
})

/** For the funnel, whose second part are the stages of one pipeline. */
export const pipelineParameter = {
  pipeline_id: Type.Optional(
    Id({
      description: 'Pipeline whose stages are shown. Default: the default pipeline.',
      examples: [1]
    })
  )
}

const month = (description: string) =>
  Type.Optional(
    Type.String({
      maxLength: 7,
      pattern: explained(
        '^[1-9][0-9]{3}-(0[1-9]|1[0-2])$',
        'must be a month, such as 2024-03',
        'month'
      ),
      examples: ['2026-11'],
      description
    })
  )

/** For the forecast, whose months are those of two fields. */
export const monthParameters = {
  'month[gte]': month('First month of the report.'),
  'month[lte]': month('Last month of the report.')
}

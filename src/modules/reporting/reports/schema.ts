import { Type, type TProperties, type TSchema } from '@sinclair/typebox'
import { filterLanguage } from '../../../core/records/list-query.ts'
import { capital } from '../../../core/http/responses.ts'
import { Count, Id, Money, Nullable, OneOf, Text } from '../../../core/http/schema.ts'
import { statuses, types } from '../../crm/activities/table.ts'
import { Lead } from '../../crm/leads/schema.ts'
import { statuses as opportunityStatuses } from '../../sales/opportunities/table.ts'

/** How many rows a report has at the most, its totals among them. */
export const mostRows = 1000

/** What lists of leads and of opportunities both understand, for the reports that count both. */
export const cohortLanguage = filterLanguage({
  record: Lead,
  filter: ['assigned_to', 'tags', 'created_at'],
  scopes: {
    campaign_id: Id({
      description: 'The lead is a member of this campaign; the opportunity grew out of one.'
    })
  }
})

/** For the funnel: whose stages come after the statuses of the leads. */
export const pipelineParameter = {
  pipeline_id: Type.Optional(
    Id({ description: 'The pipeline whose stages are shown. Default: the default pipeline.' })
  )
}

/** A row is a list in numbers: what it is about (`dimensions`), its numbers (`measures`), and that list. */
const Row = (dimensions: TProperties, measures: TProperties, [list, filter]: Example) =>
  Type.Object(
    {
      ...dimensions,
      ...measures,
      list: Text(50, {
        description: 'The list that all numbers of the row can be added up from.',
        example: list
      }),
      filter: Text(20_000, { description: 'The query string of that list.', example: filter })
    },
    { additionalProperties: false }
  )

type Example = readonly [list: string, filter: string]

/** The totals have some of the dimensions, or none, and the measures that can be added up. */
const ReportOf = (name: string, description: string, row: ReturnType<typeof Row>, total: TSchema) =>
  Type.Object(
    {
      report: OneOf([name], { description: 'Which report this is.' }),
      data: Type.Array(row, { maxItems: mostRows }),
      totals: Type.Array(total, {
        maxItems: 10,
        description: 'The numbers of the whole report, also of the rows that are not shown.'
      }),
      truncated: Type.Boolean({
        description: 'Whether there are more rows than are shown: narrow the report by a filter.',
        example: false
      })
    },
    { $id: `${capital(name)}Report`, additionalProperties: false, description }
  )

const count = Count({ description: 'How many there are.', example: 1 })
/** As much as a number in JSON can say to the cent. */
const sum = (description: string, example: number) =>
  Money(90_000_000_000_000, { description, example })
const seconds = (description: string) =>
  Nullable(
    Count({ format: 'int64', maximum: Number.MAX_SAFE_INTEGER, description, example: 86400 })
  )

const owner = {
  assigned_to: Nullable(
    Id({ description: 'The user they are assigned to; null for nobody.', example: 1 })
  ),
  assigned_to_name: Nullable(Text(80, { description: 'The name of that user.', example: 'maria' }))
}

const sums = {
  count,
  amount: sum('The sum of their amounts.', 50000),
  weighted: sum('The sum of amount × probability, rounded to two decimals.', 37500)
}

const inStage: Example = ['/api/opportunities', 'pipeline_id=1&stage=proposal&assigned_to=1']
export const PipelineReport = ReportOf(
  'pipeline',
  'Opportunities by stage and owner.',
  Row(
    {
      pipeline_id: Id({ description: 'The pipeline.', example: 1 }),
      stage: Text(50, { description: 'The key of the stage.', example: 'proposal' }),
      stage_name: Text(100, { description: 'What the stage is called.', example: 'Proposal' }),
      ...owner
    },
    sums,
    inStage
  ),
  Row(
    {
      status: Nullable(
        OneOf(opportunityStatuses, {
          description:
            'What their stages mean; null for all of them together. A status that none has is absent.',
          example: 'open'
        })
      )
    },
    sums,
    ['/api/opportunities', 'pipeline_id=1&status=open']
  )
)

const status = {
  status: OneOf(['open', 'won'], { description: 'open: may come; won: has come.', example: 'open' })
}
const inMonth: Example = [
  '/api/opportunities',
  'close_date[gte]=2024-03-01&close_date[lte]=2024-03-31&status=open'
]
export const ForecastReport = ReportOf(
  'forecast',
  'Opportunities that are open or won, by month of their close_date.',
  Row(
    {
      month: Nullable(
        Type.String({
          maxLength: 7,
          pattern: '^[0-9]{4}-[0-9]{2}$',
          description: 'The month they are expected to close; null where there is no close_date.',
          example: '2024-03'
        })
      ),
      ...status
    },
    sums,
    inMonth
  ),
  Row(status, sums, inMonth)
)

const atStep: Example = ['/api/leads', 'entered_status=qualified']
export const FunnelReport = ReportOf(
  'funnel',
  'Leads by status, then opportunities by stage: how many came how far, and how long they stayed.',
  Row(
    {
      step: Text(50, {
        description: 'A status of leads or the key of a stage, as `list` says.',
        example: 'qualified'
      }),
      step_name: Text(100, { description: 'What the step is called.', example: 'Qualified' }),
      measure: OneOf(['entered', 'present'], {
        description: 'entered: those that ever came here; present: those that are here now.',
        example: 'entered'
      })
    },
    {
      count,
      conversion: Nullable(
        Type.Number({
          format: 'double',
          minimum: 0,
          maximum: Number.MAX_SAFE_INTEGER,
          example: 0.5,
          description:
            'Those that ever came to the next step, for each that came here; above 1 where steps are left out. Null for `present` and after the last step.'
        })
      ),
      average_seconds: seconds(
        'How long those that left had been here, on average; each stay counts. Null for `present`.'
      ),
      median_seconds: seconds('How long the middle one of these stays was. Null for `present`.')
    },
    atStep
  ),
  Row({}, { count }, atStep)
)

const fromSource: Example = ['/api/leads', 'source=website']
const measure = {
  measure: OneOf(['leads', 'qualified', 'converted', 'opportunities', 'won'], {
    description:
      'What is counted: leads, those that ever were qualified, those that are converted; opportunities, those that are won.',
    example: 'leads'
  })
}
const brought = { count, amount: Nullable(sum('The sum of their amounts; null for leads.', 50000)) }
export const SourcesReport = ReportOf(
  'sources',
  'What became of the leads of each source.',
  Row(
    {
      source: Nullable(
        Text(50, {
          description:
            'The source of the leads; of opportunities that of their lead. Null for none.',
          example: 'website'
        })
      ),
      ...measure
    },
    brought,
    fromSource
  ),
  Row(measure, brought, fromSource)
)

const done: Example = ['/api/activities', 'assigned_to=1&type=call&status=completed']
const work = {
  count,
  minutes: Count({
    format: 'int64',
    maximum: Number.MAX_SAFE_INTEGER,
    description: 'The sum of their durations.',
    example: 30
  })
}
export const ActivityReport = ReportOf(
  'activity',
  'Activities by user, type and status.',
  Row(
    {
      ...owner,
      type: OneOf(types, { description: 'What is done.', example: 'call' }),
      status: OneOf(statuses, { description: 'How far it is.', example: 'completed' })
    },
    work,
    done
  ),
  Row({}, work, done)
)

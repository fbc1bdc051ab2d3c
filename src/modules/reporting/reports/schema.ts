import { Type, type TProperties, type TSchema } from '@sinclair/typebox'
import { pascalCase } from '../../../core/names.ts'
import { Count, Id, Money, Nullable, OneOf, Text } from '../../../core/http/schema.ts'
import { statuses, types } from '../../crm/activities/table.ts'
import { statuses as opportunityStatuses } from '../../sales/opportunities/table.ts'

/** Maximum number of rows of a report, including its totals. */
export const maxRows = 1000

/** A row: its `dimensions`, its `measures`, and the list that these count or add up. */
const Row = (dimensions: TProperties, measures: TProperties, [list, filter]: Example) =>
  Type.Object(
    {
      ...dimensions,
      ...measures,
      list: Text(50, {
        description: 'Path of the list that the figures of the row are based on.',
        example: list
      }),
      // of the URL's 16 KiB, percent-encoding triples some
      filter: Text(50_000, { description: 'Query string of that list.', example: filter })
    },
    { additionalProperties: false }
  )

type Example = readonly [list: string, filter: string]

/** Totals have some of the dimensions, or none, and the measures that can be added up. */
const ReportOf = (name: string, description: string, row: ReturnType<typeof Row>, total: TSchema) =>
  Type.Object(
    {
      report: OneOf([name], { description: 'Name of the report.' }),
      data: Type.Array(row, { maxItems: maxRows }),
      totals: Type.Array(total, {
        maxItems: 10,
        description: 'Totals of the whole report, including omitted rows.'
      }),
      truncated: Type.Boolean({
        description: 'Whether rows were omitted; if so, narrow the report with a filter.',
        example: false
      })
    },
    { $id: `${pascalCase(name)}Report`, additionalProperties: false, description }
  )

const count = Count({ description: 'Number of records.', example: 1 })
/** Up to the largest amount that a JSON number can represent to the cent. */
const sum = (description: string, example: number) =>
  Money(90_000_000_000_000, { description, example })
const seconds = (description: string) =>
  Nullable(
    Count({ format: 'int64', maximum: Number.MAX_SAFE_INTEGER, description, example: 86400 })
  )

const owner = {
  assigned_to: Nullable(
    Id({ description: 'User that the records are assigned to; null if unassigned.', example: 1 })
  ),
  assigned_to_name: Nullable(Text(80, { description: 'Username of that user.', example: 'maria' }))
}

const sums = {
  count,
  amount: sum('Total amount.', 50000),
  weighted: sum('Sum of amount × probability, rounded.', 37500)
}

const inStage: Example = ['/api/opportunities', 'pipeline_id=1&stage=proposal&assigned_to=1']
export const PipelineReport = ReportOf(
  'pipeline',
  'Opportunities by stage and owner.',
  Row(
    {
      pipeline_id: Id({ description: 'Pipeline ID.', example: 1 }),
      stage: Text(50, { description: 'Key of the stage.', example: 'proposal' }),
      stage_name: Text(100, { description: 'Name of the stage.', example: 'Proposal' }),
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
            'Status; null for all statuses combined. A status without opportunities is omitted.',
          example: 'open'
        })
      )
    },
    sums,
    ['/api/opportunities', 'pipeline_id=1&status=open']
  )
)

const status = {
  status: OneOf(['open', 'won'], { description: 'Status.', example: 'open' })
}
const inMonth: Example = [
  '/api/opportunities',
  'close_date[gte]=2024-03-01&close_date[lte]=2024-03-31&status=open'
]
export const ForecastReport = ReportOf(
  'forecast',
  'Open opportunities by the month of `close_date`, won ones by the month of `closed_at`.',
  Row(
    {
      month: Nullable(
        Type.String({
          maxLength: 7,
          pattern: '^[0-9]{4}-[0-9]{2}$',
          description:
            'Month of `close_date` if open, of `closed_at` if won (where the organization is); ' +
            'null if there is none.',
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
  'Leads by status, then opportunities by stage: how many reached each one, and how long they ' +
    'stayed.',
  Row(
    {
      step: Text(50, {
        description: 'Lead status or stage key, depending on `list`.',
        example: 'qualified'
      }),
      step_name: Text(100, { description: 'Name of the step.', example: 'Qualified' }),
      measure: OneOf(['entered', 'present'], {
        description: 'entered: ever reached the step; present: currently in it.',
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
            'Number that reached the next step, divided by the number that reached this one; ' +
            'above 1 if steps were skipped. Null for `present` and for the last step.'
        })
      ),
      average_seconds: seconds(
        'Average seconds spent in the step before leaving it. Null for `present`.'
      ),
      median_seconds: seconds(
        'Median seconds spent in the step before leaving it. Null for `present`.'
      )
    },
    atStep
  ),
  Row({}, { count }, atStep)
)

const fromSource: Example = ['/api/leads', 'source=website']
const measure = {
  measure: OneOf(['leads', 'qualified', 'converted', 'opportunities', 'won'], {
    description:
      'Records counted: leads, leads ever qualified, converted leads, opportunities, or won ' +
      'opportunities.',
    example: 'leads'
  })
}
const outcome = { count, amount: Nullable(sum('Total amount; null for leads.', 50000)) }
export const SourcesReport = ReportOf(
  'sources',
  'Leads and opportunities by source.',
  Row(
    {
      source: Nullable(
        Text(50, {
          description:
            "Source of the leads, or of the opportunities' leads; null if there is none.",
          example: 'website'
        })
      ),
      ...measure
    },
    outcome,
    fromSource
  ),
  Row(measure, outcome, fromSource)
)

const done: Example = ['/api/activities', 'assigned_to=1&type=call&status=completed']
const work = {
  count,
  minutes: Count({
    format: 'int64',
    maximum: Number.MAX_SAFE_INTEGER,
    description: 'Total duration in minutes.',
    example: 30
  })
}
export const ActivityReport = ReportOf(
  'activity',
  'Activities by user, type and status.',
  Row(
    {
      ...owner,
      type: OneOf(types, { description: 'Type of activity.', example: 'call' }),
      status: OneOf(statuses, { description: 'Status.', example: 'completed' })
    },
    work,
    done
  ),
  Row({}, work, done)
)

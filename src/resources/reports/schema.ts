import { Type, type TProperties } from '@sinclair/typebox'
import { filterLanguage } from '../../kit/query.ts'
import { capital } from '../../kit/routes.ts'
import { Count, Id, Money, Nullable, OneOf, Text } from '../../kit/schema.ts'
import { statuses, types } from '../activities/table.ts'
import { Lead } from '../leads/schema.ts'

/** How many rows a report has at the most, its totals among them. */
export const mostRows = 1000

/** What lists of leads and of opportunities both understand, for the reports that count both. */
export const cohortLanguage = filterLanguage({ record: Lead, filter: ['assigned_to', 'tags', 'created_at'], scopes: { campaign_id: Id({ description: 'The lead is a member of this campaign; the opportunity grew out of one.' }) } })

/** For the funnel: whose stages come after the statuses of the leads. */
export const pipelineParameter = { pipeline_id: Type.Optional(Id({ description: 'The pipeline whose stages are shown. Default: the default pipeline.' })) }

const sum = (description: string, example: number) => Money(90_000_000_000_000, { description, example })
const seconds = (description: string) => Nullable(Count({ format: 'int64', maximum: Number.MAX_SAFE_INTEGER, description, example: 86400 }))
const count = Count({ description: 'How many there are.', example: 1 })
const owner = {
  assigned_to: Nullable(Id({ description: 'The user they are assigned to; null for nobody.', example: 1 })),
  assigned_to_name: Nullable(Text(80, { description: 'The name of that user.', example: 'maria' }))
}
const money = { amount: sum('The sum of their amounts.', 50000), weighted: sum('The sum of amount × probability, rounded to two decimals.', 37500) }

/** A row is a list in numbers: what it is about, its numbers, and that list. */
const Row = (fields: TProperties, lists: readonly [string, string]) => Type.Object({
  ...fields,
  list: Text(50, { description: 'The list that all numbers of the row can be added up from.', example: lists[0] }),
  filter: Text(20_000, { description: 'The query string of that list.', example: lists[1] })
}, { additionalProperties: false })

/** `kept` are those of the dimensions by which the totals are told apart. */
function ReportOf (name: string, description: string, dimensions: TProperties, measures: TProperties, lists: readonly [string, string], kept: TProperties = {}, totalled = measures) {
  return Type.Object({
    report: OneOf([name], { description: 'Which report this is.' }),
    data: Type.Array(Row({ ...dimensions, ...measures }, lists), { maxItems: mostRows }),
    totals: Type.Array(Row({ ...kept, ...totalled }, lists), { maxItems: 10, description: 'The numbers of the whole report, also of the rows that are not shown.' }),
    truncated: Type.Boolean({ description: 'Whether there are more rows than are shown: narrow the report by a filter.', example: false })
  }, { $id: `${capital(name)}Report`, additionalProperties: false, description })
}

export const PipelineReport = ReportOf('pipeline', 'Opportunities by stage and owner.', {
  pipeline_id: Id({ description: 'The pipeline.', example: 1 }),
  stage: Text(50, { description: 'The key of the stage.', example: 'proposal' }),
  stage_name: Text(100, { description: 'What the stage is called.', example: 'Proposal' }),
  ...owner
}, { count, ...money }, ['/api/opportunities', 'pipeline_id=1&stage=proposal&assigned_to=1'])

const status = { status: OneOf(['open', 'won'], { description: 'Open: may come. Won: has come.', example: 'open' }) }
export const ForecastReport = ReportOf('forecast', 'Opportunities that are open or won, by month of their close_date.', {
  month: Nullable(Type.String({ maxLength: 7, pattern: '^[0-9]{4}-[0-9]{2}$', description: 'The month they are expected to close; null where there is no close_date.', example: '2024-03' })), ...status
}, { count, ...money }, ['/api/opportunities', 'close_date[gte]=2024-03-01&close_date[lte]=2024-03-31&status=open'], status)

export const FunnelReport = ReportOf('funnel', 'Leads by status, then opportunities by stage: how many came how far, and how long they stayed.', {
  step: Text(50, { description: 'A status of leads or the key of a stage, as `list` says.', example: 'qualified' }),
  step_name: Text(100, { description: 'What the step is called.', example: 'Qualified' }),
  measure: OneOf(['entered', 'present'], { description: 'entered: those that ever came here; present: those that are here now.', example: 'entered' })
}, {
  count,
  conversion: Nullable(Type.Number({ format: 'double', minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'How many came to the next step for each that came here. Steps may be left out, so it can be above 1. Only with `entered`; null after the last step.', example: 0.5 })),
  average_seconds: seconds('How long those that left had been here, on average: each stay counts. Only with `entered`.'),
  median_seconds: seconds('How long the middle one of them had been here.')
}, ['/api/leads', 'entered_status=qualified'], {}, { count })

const measure = { measure: OneOf(['leads', 'qualified', 'converted', 'opportunities', 'won'], { description: 'What is counted: leads, those that ever were qualified, those that are converted; opportunities, those that are won.', example: 'leads' }) }
export const SourcesReport = ReportOf('sources', 'What became of the leads of each source.', {
  source: Nullable(Text(50, { description: 'The source of the leads; of opportunities that of their lead. Null for none.', example: 'website' })), ...measure
}, { count, amount: Nullable(sum('The sum of their amounts; null for leads.', 50000)) }, ['/api/leads', 'source=website'], measure)

export const ActivityReport = ReportOf('activity', 'Activities by user, type and status.', {
  ...owner,
  type: OneOf(types, { description: 'The type.', example: 'call' }),
  status: OneOf(statuses, { description: 'The status.', example: 'completed' })
}, {
  count, minutes: Count({ format: 'int64', maximum: Number.MAX_SAFE_INTEGER, description: 'The sum of their durations.', example: 30 })
}, ['/api/activities', 'assigned_to=1&type=call&status=completed'])

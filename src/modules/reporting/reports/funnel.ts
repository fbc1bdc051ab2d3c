import type { SQL } from 'drizzle-orm'
import type { Context } from '../../../core/access/context.ts'
import { query, run } from '../../../core/db/database.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { invalidParameter } from '../../../core/errors.ts'
import { capital } from '../../../core/http/responses.ts'
import * as leads from '../../crm/leads/service.ts'
import type { subjects } from '../../sales/stage-history/table.ts'
import * as opportunities from '../../sales/opportunities/service.ts'
import * as pipelines from '../../sales/pipelines/service.ts'
import { stagesOf } from '../../sales/stages/service.ts'
import { counted, organization, type Asked, type Report } from './grouping.ts'
import { cohortLanguage } from './schema.ts'

/** The way of a lead that becomes something. */
const statuses = ['new', 'contacted', 'qualified', 'converted']

type Subject = (typeof subjects)[number]

/** How many came to `step`, are there now, and came to the `next` one; and how many seconds those stayed that left. */
interface Step {
  step: string
  entered: number
  present: number
  next: number | null
  average_seconds: number | null
  median_seconds: number | null
}

/**
 * How far leads and opportunities have come: the statuses of leads, then the stages of a pipeline, the default one unless another is
 * asked for, up to winning. Errors: 400 for an unknown pipeline, 422 without a default one.
 */
export async function funnel(
  ctx: Context,
  { pipeline_id: named, ...asked }: Asked
): Promise<Report> {
  const [pipeline] =
    named === undefined
      ? [await pipelines.getDefault(ctx)]
      : await pipelines.find(ctx, [named as number])
  if (!pipeline) throw invalidParameter('pipeline_id', 'There is no such pipeline.')
  const pipeline_id = pipeline.id
  const all = await stagesOf(ctx, pipeline_id)
  // winning is the last step, wherever it stands
  const stages = ['open', 'won'].flatMap(wanted => all.filter(({ kind }) => kind === wanted))
  const filters = cohortLanguage.read(asked)
  const ofLeads = leads.where(ctx, { filters })
  const ofOpportunities = opportunities.where(ctx, {
    filters: [...filters, { field: 'pipeline_id', operator: 'eq', value: pipeline_id }]
  })
  const leadsNow = sql`select id, status as step from leads where ${ofLeads.where}`
  const opportunitiesNow = sql`select id, stage as step from opportunities where ${ofOpportunities.where}`
  const [first, second] = await Promise.all([
    walked(ctx, 'lead', leadsNow, ofLeads.values, statuses),
    walked(
      ctx,
      'opportunity',
      opportunitiesNow,
      ofOpportunities.values,
      stages.map(({ key }) => key)
    )
  ])
  const leadList = (cell: Asked) => counted('/api/leads', asked, cell)
  const opportunityList = (cell: Asked) =>
    counted('/api/opportunities', asked, { pipeline_id }, cell)
  const names = new Map(stages.map(({ key, name }) => [key, name]))
  return {
    data: [
      ...first.steps.flatMap(step =>
        rowsOf(
          step,
          capital(step.step),
          leadList({ entered_status: step.step }),
          leadList({ status: step.step })
        )
      ),
      ...second.steps.flatMap(step =>
        rowsOf(
          step,
          names.get(step.step)!,
          opportunityList({ entered_stage: step.step }),
          opportunityList({ stage: step.step })
        )
      )
    ],
    totals: [
      { count: first.all, ...leadList({}) },
      { count: second.all, ...opportunityList({}) }
    ],
    truncated: false
  }
}

/** The way through `steps` of those in `cohort`, SQL that gives their `id` and the `step` where they are; and how many they are in `all`. */
async function walked(
  ctx: Context,
  subject: Subject,
  cohort: SQL,
  values: object,
  steps: string[]
): Promise<{ steps: Step[]; all: number }> {
  // each index is read once, in its order, and the cohort is hashed: nothing but the stays is sorted
  const moved = sql`from moves where organization_id = ${organization} and subject_type = ${subject}`
  const rows = await run(
    ctx.connection,
    query<Step & { all: number }>(
      sql`
    with cohort as materialized (${cohort}),
    counts as (select step, count(*) as present from cohort group by step),
    arrivals as (
      select to_stage as step, count(*) as entered from (select distinct to_stage, subject_id ${moved}) came join cohort on cohort.id = subject_id group by to_stage
    ),
    stays as (
      select from_stage as step, round(avg(seconds)) as average_seconds, round(percentile_cont(0.5) within group (order by seconds)::numeric) as median_seconds
      from (select subject_id, from_stage, seconds ${moved} and from_stage is not null) left_there join cohort on cohort.id = subject_id group by from_stage
    )
    select steps.step, coalesce(entered, 0) as entered, coalesce(present, 0) as present, lead(coalesce(entered, 0)) over (order by position) as next,
      average_seconds, median_seconds, (select coalesce(sum(present), 0)::bigint from counts) as all
    from unnest(${sql.placeholder('steps')}::text[]) with ordinality as steps (step, position)
    left join counts on counts.step = steps.step left join arrivals on arrivals.step = steps.step left join stays on stays.step = steps.step
    order by position`,
      false
    ),
    { ...values, steps }
  )
  return { steps: rows.map(({ all: _, ...step }) => step), all: rows[0]?.all ?? 0 }
}

/** The two rows of a step: of those that ever came, and of those that are there now, each with its list. */
function rowsOf(
  { step, entered, present, next, average_seconds, median_seconds }: Step,
  step_name: string,
  enteredList: object,
  presentList: object
) {
  const conversion =
    next === null || entered === 0 ? null : Math.round((next / entered) * 10_000) / 10_000
  return [
    {
      step,
      step_name,
      measure: 'entered',
      count: entered,
      conversion,
      average_seconds,
      median_seconds,
      ...enteredList
    },
    {
      step,
      step_name,
      measure: 'present',
      count: present,
      conversion: null,
      average_seconds: null,
      median_seconds: null,
      ...presentList
    }
  ]
}

import type { SQL } from 'drizzle-orm'
import type { Context } from '../../kit/context.ts'
import { query, run } from '../../kit/database.ts'
import { sql } from '../../kit/drizzle.ts'
import { capital } from '../../kit/routes.ts'
import { activityLanguage } from '../activities/schema.ts'
import * as activities from '../activities/service.ts'
import * as leads from '../leads/service.ts'
import type { subjects } from '../moves/table.ts'
import { opportunityLanguage } from '../opportunities/schema.ts'
import * as opportunities from '../opportunities/service.ts'
import * as pipelines from '../pipelines/service.ts'
import { stagesOf } from '../stages/service.ts'
import { cohortLanguage, mostRows } from './schema.ts'

/** What a report was asked for: names of filters with their values, checked against its parameters. */
export type Asked = Record<string, unknown>
export interface Report { data: object[], totals: object[], truncated: boolean }

const organization = sql.placeholder('organization')
const sums = sql`count(*) as count, coalesce(sum(amount), 0) as amount, round(coalesce(sum(amount * probability), 0) / 100, 2) as weighted`
const username = sql`(select username from users where users.organization_id = ${organization} and users.id = cells.assigned_to)`

/**
 * The list whose rows add up to a row of a report, narrowed by all `conditions`; a later one of the same name replaces an earlier one.
 * null is what is absent. Brackets stay readable, as in the filters that people write.
 */
function counted (list: string, ...conditions: Asked[]): { list: string, filter: string } {
  const parameters = Object.fromEntries(conditions.flatMap(condition => Object.entries(condition)).map(([name, value]) =>
    value === null ? [`${name}[null]`, 'true'] : [name, String(value)]))
  return { list, filter: new URLSearchParams(parameters).toString().replaceAll(/%(5B|5D|2C)/g, decodeURIComponent) }
}

/** Rows of grouping sets, which begin with the totals; there is one too many where not all are shown. */
async function grouped<Cell extends object> (ctx: Context, cells: SQL, values: Asked) {
  const rows = await run(ctx.connection, query<Cell & { is_total: number }>(sql`${cells} limit ${mostRows + 1}`, false), values)
  const shown = rows.slice(0, mostRows).map(({ is_total, ...cell }) => ({ is_total, cell: cell as unknown as Cell }))
  return {
    cells: shown.filter(({ is_total }) => is_total === 0).map(({ cell }) => cell),
    totals: shown.filter(({ is_total }) => is_total > 0).map(({ cell }) => cell),
    truncated: rows.length > mostRows
  }
}

interface Sums { count: number, amount: number, weighted: number }

const inDefaultPipeline = async (ctx: Context, asked: Asked): Promise<Asked> =>
  Object.keys(asked).some(name => name.startsWith('pipeline_id')) ? asked : { pipeline_id: (await pipelines.getDefault(ctx)).id, ...asked }

/** Opportunities by stage and owner, of the default pipeline unless another is asked for. Errors: 422 without a default pipeline. */
export async function pipeline (ctx: Context, query: Asked): Promise<Report> {
  const asked = await inDefaultPipeline(ctx, query)
  const { where, values } = opportunities.where(ctx, { filters: opportunityLanguage.read(asked) })
  const { cells, totals, truncated } = await grouped<Sums & { pipeline_id: number, stage: string, assigned_to: number | null }>(ctx, sql`
    with cells as (
      select pipeline_id, stage, assigned_to, grouping(stage) as is_total, ${sums}
      from opportunities where ${where} group by grouping sets ((pipeline_id, stage, assigned_to), ())
    )
    select is_total, cells.pipeline_id, stage, stages.name as stage_name, assigned_to, ${username} as assigned_to_name, count, amount, weighted
    from cells left join stages on stages.organization_id = ${organization} and stages.pipeline_id = cells.pipeline_id and stages.key = stage
    order by is_total desc, cells.pipeline_id, stages.position, stages.id, assigned_to_name, assigned_to`, values)
  return {
    data: cells.map(cell => ({ ...cell, ...counted('/api/opportunities', asked, { pipeline_id: cell.pipeline_id, stage: cell.stage, assigned_to: cell.assigned_to }) })),
    totals: totals.map(({ count, amount, weighted }) => ({ count, amount, weighted, ...counted('/api/opportunities', asked) })),
    truncated
  }
}

/** Opportunities that are open or won, by month of `close_date`; those without one come last. */
export async function forecast (ctx: Context, asked: Asked): Promise<Report> {
  const { where, values } = opportunities.where(ctx, { filters: opportunityLanguage.read(asked) })
  const { cells, totals, truncated } = await grouped<Sums & { month: string | null, status: string }>(ctx, sql`
    select month, status, grouping(month) as is_total, ${sums}
    from (select to_char(close_date, 'YYYY-MM') as month, status, amount, probability from opportunities where ${where} and status <> 'lost') months
    group by grouping sets ((month, status), (status)) order by is_total desc, month, status`, values)
  return {
    data: cells.map(cell => ({ ...cell, ...counted('/api/opportunities', asked, daysOf(cell.month, asked), { status: cell.status }) })),
    totals: totals.map(({ month: _, ...total }) => ({ ...total, ...counted('/api/opportunities', asked, { status: total.status }) })),
    truncated
  }
}

/** The days of a month (`YYYY-MM`), as far as they were asked for. */
function daysOf (month: string | null, asked: Asked): Asked {
  if (month === null) return { close_date: null }
  const last = new Date(`${month}-01T00:00:00Z`)
  last.setUTCMonth(last.getUTCMonth() + 1, 0)
  const from = [`${month}-01`, asked['close_date[gte]'] as string ?? ''].toSorted()
  const to = [last.toISOString().slice(0, 10), asked['close_date[lte]'] as string ?? '9999-12-31'].toSorted()
  return { 'close_date[gte]': from[1], 'close_date[lte]': to[0] }
}

const leadSteps = ['new', 'contacted', 'qualified', 'converted']

/** How far leads and opportunities have come: the statuses of leads, then the stages of a pipeline up to winning. Errors: as `pipeline`. */
export async function funnel (ctx: Context, query: Asked): Promise<Report> {
  const { pipeline_id, ...asked } = await inDefaultPipeline(ctx, query) as Asked & { pipeline_id: number }
  const inOrder = await stagesOf(ctx, pipeline_id)
  const ofLeads = leads.where(ctx, { filters: cohortLanguage.read(asked) })
  const ofOpportunities = opportunities.where(ctx, { filters: [...cohortLanguage.read(asked), { field: 'pipeline_id', operator: 'eq', value: pipeline_id }] })
  const [first, second] = await Promise.all([
    walked(ctx, 'lead', sql`select id, status as step from leads where ${ofLeads.where}`, ofLeads.values, leadSteps),
    walked(ctx, 'opportunity', sql`select id, stage as step from opportunities where ${ofOpportunities.where}`, ofOpportunities.values, inOrder.filter(({ kind }) => kind !== 'lost').map(({ key }) => key))
  ])
  const leadsOf = (...conditions: Asked[]) => counted('/api/leads', asked, ...conditions)
  const opportunitiesOf = (...conditions: Asked[]) => counted('/api/opportunities', asked, { pipeline_id }, ...conditions)
  const names = new Map(inOrder.map(({ key, name }) => [key, name]))
  return {
    data: [
      ...first.steps.flatMap(step => rowsOf(step, capital(step.step), leadsOf({ entered_status: step.step }), leadsOf({ status: step.step }))),
      ...second.steps.flatMap(step => rowsOf(step, names.get(step.step)!, opportunitiesOf({ entered_stage: step.step }), opportunitiesOf({ stage: step.step })))
    ],
    totals: [{ count: first.all, ...leadsOf() }, { count: second.all, ...opportunitiesOf() }],
    truncated: false
  }
}

interface Step { step: string, entered: number, present: number, next: number | null, average_seconds: number | null, median_seconds: number | null }

/** The way of a `cohort` (id, step) through `steps`. */
async function walked (ctx: Context, subject: typeof subjects[number], cohort: SQL, values: Asked, steps: string[]): Promise<{ steps: Step[], all: number }> {
  const moved = sql`from moves where moves.organization_id = ${organization} and moves.subject_type = ${subject}`
  const rows = await run(ctx.connection, query<Step & { all: number }>(sql`
    with cohort as materialized (${cohort}),
    counts as (select step, count(*) as present from cohort group by step)
    select steps.step, entered, coalesce(present, 0) as present, lead(entered) over (order by position) as next, average_seconds, median_seconds,
      (select coalesce(sum(present), 0)::bigint from counts) as all
    from unnest(${sql.placeholder('steps')}::text[]) with ordinality as steps (step, position) left join counts on counts.step = steps.step,
    lateral (
      select count(*) as entered from (select distinct subject_id ${moved} and to_stage = steps.step) arrived join cohort on cohort.id = subject_id
    ) arrivals,
    lateral (
      select round(avg(seconds)) as average_seconds, round(percentile_cont(0.5) within group (order by seconds)::numeric) as median_seconds
      ${moved} and from_stage = steps.step and subject_id in (select id from cohort)
    ) stays order by position`, false), { ...values, steps })
  return { steps: rows.map(({ all: _, ...step }) => step), all: rows[0]?.all ?? 0 }
}

/** The two rows of a step, each with the list it counts. */
const rowsOf = ({ step, entered, present, next, average_seconds, median_seconds }: Step, step_name: string, enteredList: object, presentList: object) => [
  { step, step_name, measure: 'entered', count: entered, conversion: next === null || entered === 0 ? null : Math.round(next / entered * 10_000) / 10_000, average_seconds, median_seconds, ...enteredList },
  { step, step_name, measure: 'present', count: present, conversion: null, average_seconds: null, median_seconds: null, ...presentList }
]

type Measure = 'leads' | 'qualified' | 'converted' | 'opportunities' | 'won'

/** What became of the leads of each source. The filters are on leads and on opportunities alike. */
export async function sources (ctx: Context, asked: Asked): Promise<Report> {
  const filters = cohortLanguage.read(asked)
  const { where, values } = leads.where(ctx, { filters })
  const ofOpportunities = opportunities.where(ctx, { filters }) // its placeholders are those of the leads, with the same values
  const { cells, totals, truncated } = await grouped<{ source: string | null, measure: Measure, count: number, amount: number | null }>(ctx, sql`
    with qualified as (
      select distinct subject_id from moves where organization_id = ${organization} and subject_type = 'lead' and to_stage = 'qualified'
    ),
    of_leads as (
      select source, grouping(source) as is_total, count(*) as leads, count(subject_id) as qualified, count(*) filter (where status = 'converted') as converted
      from leads left join qualified on subject_id = leads.id where ${where} group by grouping sets ((source), ())
    ),
    of_opportunities as (
      select source, grouping(source) as is_total, count(*) as opportunities, count(*) filter (where opportunities.status = 'won') as won,
        coalesce(sum(amount), 0) as amount, coalesce(sum(amount) filter (where opportunities.status = 'won'), 0) as won_amount
      from opportunities left join leads on leads.organization_id = ${organization} and leads.id = lead_id and leads.deleted_at is null
      where ${ofOpportunities.where} group by grouping sets ((source), ())
    )
    select is_total, source, measure, count, amount from (
      select is_total, source, cell.* from of_leads, lateral (values
        (1, 'leads', leads, null::numeric), (2, 'qualified', qualified, null), (3, 'converted', converted, null)) cell (position, measure, count, amount)
      union all
      select is_total, source, cell.* from of_opportunities, lateral (values
        (4, 'opportunities', opportunities, amount), (5, 'won', won, won_amount)) cell (position, measure, count, amount)
    ) cells order by is_total desc, source, position`, values)
  return {
    data: cells.map(cell => ({ ...cell, ...listOf(cell.measure, asked, cell.source) })),
    totals: totals.map(({ source: _, ...total }) => ({ ...total, ...listOf(total.measure, asked) })),
    truncated
  }
}

/** The list that a measure counts; without `source` over all of them. */
function listOf (measure: Measure, asked: Asked, source?: string | null) {
  const from = (name: string) => source === undefined ? {} : { [name]: source }
  switch (measure) {
    case 'leads': return counted('/api/leads', asked, from('source'))
    case 'qualified': return counted('/api/leads', asked, from('source'), { entered_status: 'qualified' })
    case 'converted': return counted('/api/leads', asked, from('source'), { status: 'converted' })
    case 'opportunities': return counted('/api/opportunities', asked, from('lead_source'))
    case 'won': return counted('/api/opportunities', asked, from('lead_source'), { status: 'won' })
  }
}

/** Activities by user, type and status. */
export async function activity (ctx: Context, asked: Asked): Promise<Report> {
  const { where, values } = activities.where(ctx, { filters: activityLanguage.read(asked) })
  const { cells, totals, truncated } = await grouped<{ assigned_to: number | null, type: string, status: string, count: number, minutes: number }>(ctx, sql`
    with cells as (
      select assigned_to, type, status, grouping(type) as is_total, count(*) as count, coalesce(sum(duration_minutes), 0) as minutes
      from activities where ${where} group by grouping sets ((assigned_to, type, status), ())
    )
    select is_total, assigned_to, ${username} as assigned_to_name, type, status, count, minutes
    from cells order by is_total desc, assigned_to_name, assigned_to, type, status`, values)
  return {
    data: cells.map(cell => ({ ...cell, ...counted('/api/activities', asked, { assigned_to: cell.assigned_to, type: cell.type, status: cell.status }) })),
    totals: totals.map(({ count, minutes }) => ({ count, minutes, ...counted('/api/activities', asked) })),
    truncated
  }
}

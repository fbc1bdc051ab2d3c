import type { Context } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { activityLanguage } from '../../crm/activities/schema.ts'
import * as activities from '../../crm/activities/service.ts'
import * as leads from '../../crm/leads/service.ts'
import { opportunityLanguage } from '../../sales/opportunities/schema.ts'
import * as opportunities from '../../sales/opportunities/service.ts'
import { getDefault } from '../../sales/pipelines/service.ts'
import { counted, grouped, organization, type Asked, type Report } from './grouping.ts'
import { cohortLanguage } from './schema.ts'

interface Sums {
  count: number
  amount: number
  weighted: number
}

const sums = sql`count(*) as count, coalesce(sum(amount), 0) as amount, round(coalesce(sum(amount * probability), 0) / 100, 2) as weighted`
/** Of a deleted user as well: what was theirs is still there. */
const username = sql`(select username from users where users.organization_id = ${organization} and users.id = cells.assigned_to)`

interface Cell extends Sums {
  pipeline_id: number
  stage: string
  status: string | null
  assigned_to: number | null
}

/**
 * Opportunities by stage and owner, in all by status, which is what their stages mean; of the default pipeline unless another is asked for.
 * Errors: 422 without a default pipeline.
 */
export async function pipeline(ctx: Context, query: Asked): Promise<Report> {
  const named = Object.keys(query).some(name => name.startsWith('pipeline_id'))
  const asked = named ? query : { pipeline_id: (await getDefault(ctx)).id, ...query }
  const { where, values } = opportunities.where(ctx, { filters: opportunityLanguage.read(asked) })
  // the status is the stage's: the index on which the opportunities are counted has none
  const { cells, totals, truncated } = await grouped<Cell>(
    ctx,
    sql`
    with counted as (
      select pipeline_id, stage, assigned_to, count(*) as count, sum(amount) as amount, sum(amount * probability) as weighted
      from opportunities where ${where} group by pipeline_id, stage, assigned_to
    ),
    cells as (
      select grouping(stage) as is_total, counted.pipeline_id, position, stages.id as stage_id, stage, name as stage_name, kind as status, assigned_to,
        coalesce(sum(count), 0) as count, coalesce(sum(amount), 0) as amount,
        round(coalesce(sum(weighted), 0) / 100, 2) as weighted
      from counted join stages on stages.organization_id = ${organization} and stages.pipeline_id = counted.pipeline_id and stages.key = stage
      group by grouping sets ((counted.pipeline_id, stages.position, stages.id, stage, name, assigned_to), (kind), ())
    )
    select is_total, pipeline_id, stage, stage_name, status, assigned_to, ${username} as assigned_to_name, count, amount, weighted
    from cells order by is_total desc, status nulls first, pipeline_id, position, stage_id, assigned_to_name, assigned_to`,
    values
  )
  const list = (cell: Asked) => counted('/api/opportunities', asked, cell)
  return {
    data: cells.map(({ status: _, ...cell }) => ({
      ...cell,
      ...list({ pipeline_id: cell.pipeline_id, stage: cell.stage, assigned_to: cell.assigned_to })
    })),
    totals: totals.map(({ status, count, amount, weighted }) => ({
      status,
      count,
      amount,
      weighted,
      ...list(status === null ? {} : { status })
    })),
    truncated
  }
}

/** Opportunities that are open or won, by month of `close_date`; those without one come last. */
export async function forecast(ctx: Context, asked: Asked): Promise<Report> {
  const { where, values } = opportunities.where(ctx, { filters: opportunityLanguage.read(asked) })
  const { cells, totals, truncated } = await grouped<
    Sums & { month: string | null; status: string }
  >(
    ctx,
    sql`
    select month, status, grouping(month) as is_total, ${sums}
    from (select to_char(close_date, 'YYYY-MM') as month, status, amount, probability from opportunities where ${where} and status <> 'lost') months
    group by grouping sets ((month, status), (status)) order by is_total desc, month, status`,
    values
  )
  const list = (cell: Asked) => counted('/api/opportunities', asked, cell)
  return {
    data: cells.map(cell => ({
      ...cell,
      ...list({ ...daysOf(cell.month, asked), status: cell.status })
    })),
    totals: totals.map(({ month: _, ...total }) => ({
      ...total,
      ...list({ status: total.status })
    })),
    truncated
  }
}

/** The days of a month (`YYYY-MM`), as far as they were asked for. */
function daysOf(
  month: string | null,
  { 'close_date[gte]': from = '', 'close_date[lte]': to = '9999-12-31' }: Asked
): Asked {
  if (month === null) return { close_date: null }
  const first = `${month}-01`
  const end = new Date(`${first}T00:00:00Z`)
  end.setUTCMonth(end.getUTCMonth() + 1, 0)
  const last = end.toISOString().slice(0, 10)
  return {
    'close_date[gte]': first > String(from) ? first : from,
    'close_date[lte]': last < String(to) ? last : to
  }
}

type Measure = 'leads' | 'qualified' | 'converted' | 'opportunities' | 'won'
interface Outcome {
  source: string | null
  measure: Measure
  count: number
  amount: number | null
}

/** What became of the leads of each source; the filters are on leads and on opportunities alike. */
export async function sources(ctx: Context, asked: Asked): Promise<Report> {
  const filters = cohortLanguage.read(asked)
  const { where, values } = leads.where(ctx, { filters })
  const ofOpportunities = opportunities.where(ctx, { filters }) // its placeholders are those of the leads, with the same values
  const { cells, totals, truncated } = await grouped<Outcome>(
    ctx,
    sql`
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
    ) cells order by is_total desc, source, position`,
    values
  )
  return {
    data: cells.map(cell => ({
      ...cell,
      ...listOf(cell.measure, asked, { source: cell.source }, { lead_source: cell.source })
    })),
    totals: totals.map(({ source: _, ...total }) => ({
      ...total,
      ...listOf(total.measure, asked)
    })),
    truncated
  }
}

/** The list that a measure counts; the source of leads has another name than that of opportunities. */
function listOf(measure: Measure, asked: Asked, source: Asked = {}, leadSource: Asked = {}) {
  const lists = {
    leads: () => counted('/api/leads', asked, source),
    qualified: () => counted('/api/leads', asked, source, { entered_status: 'qualified' }),
    converted: () => counted('/api/leads', asked, source, { status: 'converted' }),
    opportunities: () => counted('/api/opportunities', asked, leadSource),
    won: () => counted('/api/opportunities', asked, leadSource, { status: 'won' })
  }
  return lists[measure]()
}

interface Work {
  count: number
  minutes: number
}

/** Activities by user, type and status. */
export async function activity(ctx: Context, asked: Asked): Promise<Report> {
  const { where, values } = activities.where(ctx, { filters: activityLanguage.read(asked) })
  const { cells, totals, truncated } = await grouped<
    Work & { assigned_to: number | null; type: string; status: string }
  >(
    ctx,
    sql`
    with cells as (
      select assigned_to, type, status, grouping(type) as is_total, count(*) as count, coalesce(sum(duration_minutes), 0) as minutes
      from activities where ${where} group by grouping sets ((assigned_to, type, status), ())
    )
    select is_total, assigned_to, ${username} as assigned_to_name, type, status, count, minutes
    from cells order by is_total desc, assigned_to_name, assigned_to, type, status`,
    values
  )
  const list = (cell: Asked) => counted('/api/activities', asked, cell)
  return {
    data: cells.map(cell => ({
      ...cell,
      ...list({ assigned_to: cell.assigned_to, type: cell.type, status: cell.status })
    })),
    totals: totals.map(({ count, minutes }) => ({ count, minutes, ...list({}) })),
    truncated
  }
}

import type { Context } from '../../../core/access/context.ts'
import { activityService } from '../../crm/activities/service.ts'
import { leadService } from '../../crm/leads/service.ts'
import { opportunityService } from '../../sales/opportunities/service.ts'
import { pipelineService } from '../../sales/pipelines/service.ts'
import { funnel } from './funnel.ts'
import { listOf, runGrouped, type Report, type ReportQuery } from './grouping.ts'
import { activityLanguage, cohortLanguage, opportunityLanguage } from './languages.ts'
import { daysOf, type Months } from './months.ts'
import { activityQuery, forecastQuery, pipelineQuery, sourcesQuery } from './queries.ts'

interface Sums {
  count: number
  amount: number
  weighted: number
}

interface PipelineCell extends Sums {
  pipeline_id: number
  stage: string
  status: string | null
  assigned_to: number | null
}

type Measure = 'leads' | 'qualified' | 'converted' | 'opportunities' | 'won'

interface SourceCell {
  source: string | null
  measure: Measure
  count: number
  amount: number | null
}

interface ActivityCell {
  assigned_to: number | null
  type: string
  status: string
  count: number
  minutes: number
}

export const reportService = {
  funnel,

  /**
   * Opportunities by stage and owner, of the default pipeline unless another is requested, with
   * totals by status. Errors: 422 without a default pipeline.
   */
  async pipeline(ctx: Context, query: ReportQuery): Promise<Report> {
    const isNamed = Object.keys(query).some(name => name.startsWith('pipeline_id'))
    const all = isNamed
      ? query
      : { pipeline_id: (await pipelineService.getDefault(ctx)).id, ...query }
    const opportunities = opportunityService.matching(opportunityLanguage.read(ctx, all))
    const { cells, totals, truncated } = await runGrouped<PipelineCell>(
      ctx,
      pipelineQuery(opportunities)
    )
    const list = (cell: ReportQuery) => listOf('/api/opportunities', all, cell)
    return {
      data: cells.map(({ status: _, ...cell }) => {
        const { pipeline_id, stage, assigned_to } = cell
        return { ...cell, ...list({ pipeline_id, stage, assigned_to }) }
      }),
      totals: totals.map(({ status, count, amount, weighted }) => {
        const condition = status === null ? {} : { status }
        return { status, count, amount, weighted, ...list(condition) }
      }),
      truncated
    }
  },

  /**
   * Open opportunities by month of `close_date`, won ones by month of `closed_at`; those without
   * come last.
   */
  async forecast(
    ctx: Context,
    { 'month[gte]': from = null, 'month[lte]': to = null, ...query }: ReportQuery
  ): Promise<Report> {
    const opportunities = opportunityService.matching(opportunityLanguage.read(ctx, query))
    const months = { from, to } as Months
    const { cells, totals, truncated } = await runGrouped<
      Sums & { month: string | null; status: string }
    >(ctx, forecastQuery(opportunities, months))
    const list = (status: string, months: Months | null) => {
      const zone = ctx.principal.time_zone
      const field = status === 'won' ? 'closed_at' : 'close_date'
      const days = months === null ? { [field]: null } : daysOf(field, months, query, zone)
      return listOf('/api/opportunities', query, days, { status })
    }
    return {
      data: cells.map(cell => {
        const { month, status } = cell
        return { ...cell, ...list(status, month === null ? null : { from: month, to: month }) }
      }),
      totals: totals.map(({ month: _, ...total }) => ({
        ...total,
        ...list(total.status, months)
      })),
      truncated
    }
  },

  /** Leads and opportunities by source; the filters apply to both. */
  async sources(ctx: Context, query: ReportQuery): Promise<Report> {
    const filters = cohortLanguage.read(ctx, query)
    const { cells, totals, truncated } = await runGrouped<SourceCell>(
      ctx,
      sourcesQuery(leadService.matching(filters), opportunityService.matching(filters))
    )
    return {
      data: cells.map(cell => {
        const { source, measure } = cell
        return { ...cell, ...sourceList(measure, query, { source }, { lead_source: source }) }
      }),
      totals: totals.map(({ source: _, ...total }) => ({
        ...total,
        ...sourceList(total.measure, query)
      })),
      truncated
    }
  },

  /** Activities by user, type and status. */
  async activity(ctx: Context, query: ReportQuery): Promise<Report> {
    const activities = activityService.matching(activityLanguage.read(ctx, query))
    const { cells, totals, truncated } = await runGrouped<ActivityCell>(
      ctx,
      activityQuery(activities)
    )
    const list = (cell: ReportQuery) => listOf('/api/activities', query, cell)
    return {
      data: cells.map(cell => {
        const { assigned_to, type, status } = cell
        return { ...cell, ...list({ assigned_to, type, status }) }
      }),
      totals: totals.map(({ count, minutes }) => ({ count, minutes, ...list({}) })),
      truncated
    }
  }
}

/** The list that a measure counts; the source has one name for leads, another for opportunities. */
function sourceList(
  measure: Measure,
  query: ReportQuery,
  source: ReportQuery = {},
  leadSource: ReportQuery = {}
) {
  const lists = {
    leads: () => listOf('/api/leads', query, source),
    qualified: () => listOf('/api/leads', query, source, { entered_status: 'qualified' }),
    converted: () => listOf('/api/leads', query, source, { status: 'converted' }),
    opportunities: () => listOf('/api/opportunities', query, leadSource),
    won: () => listOf('/api/opportunities', query, leadSource, { status: 'won' })
  }
  return lists[measure]()
}

import type { SQL } from 'drizzle-orm'
import type { Context } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { invalidParameter } from '../../../core/errors.ts'
import { sentenceCase } from '../../../core/names.ts'
import { equal } from '../../../core/records/filter.ts'
import { leadService } from '../../crm/leads/service.ts'
import { opportunityService } from '../../sales/opportunities/service.ts'
import { pipelineService } from '../../sales/pipelines/service.ts'
import { stageService } from '../../sales/stages/service.ts'
import { listOf, type Report, type ReportQuery } from './grouping.ts'
import { cohortLanguage } from './languages.ts'
import { funnelQuery } from './queries.ts'

/** The statuses of a lead that is converted in the end. */
const leadSteps = ['new', 'contacted', 'qualified', 'converted']

/** Counts of one step; `next` of the step after it; stays in seconds. */
interface Step {
  step: string
  entered: number
  present: number
  next: number | null
  average_seconds: number | null
  median_seconds: number | null
}

/**
 * How far leads and opportunities got: the statuses of leads, then the stages of a pipeline up to
 * winning. Errors: 400 for an unknown pipeline, 422 without a default one.
 */
export async function funnel(
  ctx: Context,
  { pipeline_id: named, ...query }: ReportQuery
): Promise<Report> {
  const pipeline_id = await pipelineId(ctx, named as number | undefined)
  const all = await stageService.ofPipeline(ctx, pipeline_id)
  // winning is the last step, whatever its position
  const stages = ['open', 'won'].flatMap(wanted => all.filter(({ kind }) => kind === wanted))
  const filters = cohortLanguage.read(ctx, query)
  const leadRows = leadService.matching(filters)
  const opportunityRows = opportunityService.matching([...filters, ...equal({ pipeline_id })])
  const keys = stages.map(({ key }) => key)
  const [first, second] = await Promise.all([
    walk(ctx, 'lead', sql`select id, status as step from ${leadRows}`, leadSteps),
    walk(ctx, 'opportunity', sql`select id, stage as step from ${opportunityRows}`, keys)
  ])
  const leadList = (cell: ReportQuery) => listOf('/api/leads', query, cell)
  const opportunityList = (cell: ReportQuery) =>
    listOf('/api/opportunities', query, { pipeline_id }, cell)
  const names = new Map(stages.map(({ key, name }) => [key, name]))
  return {
    data: [
      ...first.steps.flatMap(step =>
        rowsOf(step, sentenceCase(step.step), {
          entered: leadList({ entered_status: step.step }),
          present: leadList({ status: step.step })
        })
      ),
      ...second.steps.flatMap(step =>
        rowsOf(step, names.get(step.step)!, {
          entered: opportunityList({ entered_stage: step.step }),
          present: opportunityList({ stage: step.step })
        })
      )
    ],
    totals: [
      { count: first.all, ...leadList({}) },
      { count: second.all, ...opportunityList({}) }
    ],
    truncated: false
  }
}

async function pipelineId(ctx: Context, id: number | undefined): Promise<number> {
  if (id === undefined) return (await pipelineService.getDefault(ctx)).id
  const [pipeline] = await pipelineService.find(ctx, [id])
  if (!pipeline) throw invalidParameter('pipeline_id', 'There is no such pipeline.', { value: id })
  return pipeline.id
}

/** The steps of a cohort, and how many records it has in all. */
async function walk(
  ctx: Context,
  subject: string,
  cohort: SQL,
  steps: string[]
): Promise<{ steps: Step[]; all: number }> {
  const rows = await ctx.aggregate<Step & { all: number }>(funnelQuery(subject, cohort, steps))
  return { steps: rows.map(({ all: _, ...step }) => step), all: rows[0]?.all ?? 0 }
}

/** The two rows of a step, for those that entered it and those in it now, with their lists. */
function rowsOf(
  { step, entered, present, next, average_seconds, median_seconds }: Step,
  step_name: string,
  lists: { entered: object; present: object }
) {
  const ratio = Math.round(((next ?? 0) / entered) * 10_000) / 10_000
  const conversion = next === null || entered === 0 ? null : ratio
  return [
    {
      step,
      step_name,
      measure: 'entered',
      count: entered,
      conversion,
      average_seconds,
      median_seconds,
      ...lists.entered
    },
    {
      step,
      step_name,
      measure: 'present',
      count: present,
      conversion: null,
      average_seconds: null,
      median_seconds: null,
      ...lists.present
    }
  ]
}

import type { SQL } from 'drizzle-orm'
import { sql } from '../../../core/db/drizzle.ts'
import { ours, oursWithDeleted, timeZone } from '../../../core/db/sql.ts'
import { leads } from '../../crm/leads/table.ts'
import { users } from '../../identity/users/table.ts'
import { stages } from '../../sales/stages/table.ts'
import { transitions } from '../../sales/stage-history/table.ts'
import type { Months } from './months.ts'

/** The name of the user in `cells.assigned_to`, deleted or not: their records are still there. */
const username = sql`(select username from ${oursWithDeleted(users)}
  where users.id = cells.assigned_to)`

/**
 * Opportunities (`opportunityRows`, see `matching`) by stage and owner, with totals by status.
 */
export const pipelineQuery = (opportunityRows: SQL) => sql`
  with counted as (
    select pipeline_id, stage, assigned_to, count(*) as count, sum(amount) as amount,
      sum(amount * probability) as weighted
    from ${opportunityRows} group by pipeline_id, stage, assigned_to
  ),
  cells as (
    -- the status is that of the stage: the index that counts opportunities does not have it
    select grouping(stage) as is_total, counted.pipeline_id, position, stages.id as stage_id, stage,
      name as stage_name, kind as status, assigned_to, coalesce(sum(count), 0) as count,
      coalesce(sum(amount), 0) as amount, round(coalesce(sum(weighted), 0) / 100, 2) as weighted
    from counted join ${oursWithDeleted(stages)}
      on stages.pipeline_id = counted.pipeline_id and stages.key = stage
    group by grouping sets (
      (counted.pipeline_id, stages.position, stages.id, stage, name, assigned_to), (kind), ())
  )
  select is_total, pipeline_id, stage, stage_name, status, assigned_to,
    ${username} as assigned_to_name, count, amount, weighted
  from cells
  order by is_total desc, status nulls first, pipeline_id, position, stage_id, assigned_to_name,
    assigned_to`

/**
 * Opportunities that are not lost, by month and status; by status as totals. The month is that in
 * which they were won, or are expected to be.
 */
export const forecastQuery = (opportunityRows: SQL, { from, to }: Months) => sql`
  select month, status, grouping(month) as is_total, count(*) as count,
    coalesce(sum(amount), 0) as amount,
    round(coalesce(sum(amount * probability), 0) / 100, 2) as weighted
  from (
    select status, amount, probability, to_char(
      case status when 'won' then closed_at at time zone ${timeZone} else close_date end, 'YYYY-MM'
    ) as month
    from ${opportunityRows} where status <> 'lost'
  ) months
  where (${from}::text is null or month >= ${from}) and (${to}::text is null or month <= ${to})
  group by grouping sets ((month, status), (status)) order by is_total desc, month, status`

/**
 * The measures of leads and opportunities by source; in all as totals. An opportunity has the
 * source of its lead, deleted or not: where a sale came from does not change.
 */
export const sourcesQuery = (leadRows: SQL, opportunityRows: SQL) => sql`
  with qualified as (
    select distinct subject_id from ${ours(transitions, 'transitions')}
    where subject_type = 'lead' and to_stage = 'qualified'
  ),
  of_leads as (
    select source, grouping(source) as is_total, count(*) as leads, count(subject_id) as qualified,
      count(*) filter (where status = 'converted') as converted
    from ${leadRows} left join qualified on subject_id = leads.id
    group by grouping sets ((source), ())
  ),
  of_opportunities as (
    select source, grouping(source) as is_total, count(*) as opportunities,
      count(*) filter (where opportunities.status = 'won') as won,
      coalesce(sum(amount), 0) as amount,
      coalesce(sum(amount) filter (where opportunities.status = 'won'), 0) as won_amount
    from ${opportunityRows} left join ${oursWithDeleted(leads)} on leads.id = lead_id
    group by grouping sets ((source), ())
  )
  select is_total, source, measure, count, amount from (
    select is_total, source, cell.* from of_leads, lateral (values
      (1, 'leads', leads, null::numeric), (2, 'qualified', qualified, null),
      (3, 'converted', converted, null)) cell (position, measure, count, amount)
    union all
    select is_total, source, cell.* from of_opportunities, lateral (values
      (4, 'opportunities', opportunities, amount), (5, 'won', won, won_amount)
    ) cell (position, measure, count, amount)
  ) cells order by is_total desc, source, position`

/** Activities by user, type and status; in all as totals. */
export const activityQuery = (activityRows: SQL) => sql`
  with cells as (
    select assigned_to, type, status, grouping(type) as is_total, count(*) as count,
      coalesce(sum(duration_minutes), 0) as minutes
    from ${activityRows} group by grouping sets ((assigned_to, type, status), ())
  )
  select is_total, assigned_to, ${username} as assigned_to_name, type, status, count, minutes
  from cells order by is_total desc, assigned_to_name, assigned_to, type, status`

/**
 * The way of a cohort, SQL that gives `id` and current `step`, through `steps`: how many entered
 * each, are in it, and entered the next; how long those that left had stayed; and how many there
 * are in all. Each index is read once, in order, and the cohort is hashed: only the stays are
 * sorted.
 */
export function funnelQuery(subject: string, cohort: SQL, steps: string[]) {
  const moved = sql`from ${ours(transitions, 'transitions')} where subject_type = ${subject}`
  return sql`
    with cohort as materialized (${cohort}),
    counts as (select step, count(*) as present from cohort group by step),
    arrivals as (
      select to_stage as step, count(*) as entered
      from (select distinct to_stage, subject_id ${moved}) entries
      join cohort on cohort.id = subject_id group by to_stage
    ),
    stays as (
      select from_stage as step, round(avg(seconds)) as average_seconds,
        round(percentile_cont(0.5) within group (order by seconds)::numeric) as median_seconds
      from (select subject_id, from_stage, seconds ${moved} and from_stage is not null) exits
      join cohort on cohort.id = subject_id group by from_stage
    )
    select steps.step, coalesce(entered, 0) as entered, coalesce(present, 0) as present,
      lead(coalesce(entered, 0)) over (order by position) as next, average_seconds, median_seconds,
      (select coalesce(sum(present), 0)::bigint from counts) as all
    from unnest(${sql.param(steps)}::text[]) with ordinality as steps (step, position)
    left join counts on counts.step = steps.step
    left join arrivals on arrivals.step = steps.step
    left join stays on stays.step = steps.step
    order by position`
}

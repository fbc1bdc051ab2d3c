// SQL that generates a large volume of sales data.
import type { Volume } from './sales.ts'

interface Range {
  first: string
  count: string
}

/** IDs that the generated rows refer to. */
export interface ReferencedIds {
  pipeline: string
  contact: Range
  account: Range
  user: Range
}

/** Columns with SQL expressions of `n`, the number of the row from 1. */
interface GeneratedTable {
  table: keyof Volume
  columns: Record<string, string | number>
  joins: string
}

/** A pseudo-random integer from 0 to `limit` - 1, the same in every run. */
const pseudoRandom = (n: string, limit: string | number, salt: number): string =>
  `(abs(hashint8(${n} * 31 + ${salt})) % ${limit})`
const randomId = ({ first, count }: Range, salt: number): string =>
  `${first} + ${pseudoRandom('n', count, salt)}`
const randomText = (texts: string[], salt: number): string => {
  const index = pseudoRandom('n', texts.length, salt)
  return `(array[${texts.map(text => `'${text}'`).join(', ')}])[1 + ${index}]`
}
/** An instant in the last two years. */
const randomInstant = (salt: number): string =>
  `date_trunc('minute', now()) - ${pseudoRandom('n', 730 * 1440, salt)} * interval '1 minute'`

/** Leads, opportunities and activities, in the order in which they are inserted. */
export const salesTables = (
  organization: number,
  ids: ReferencedIds,
  volume: Volume
): GeneratedTable[] => [leads(ids), opportunities(organization, ids, volume), activities(ids)]

const leads = (ids: ReferencedIds): GeneratedTable => ({
  table: 'leads',
  columns: {
    contact_id: randomId(ids.contact, 1),
    source: randomText(['website', 'referral', 'trade show', 'cold call', 'newsletter'], 2),
    status: randomText(['new', 'contacted', 'qualified', 'unqualified', 'converted'], 3),
    score: pseudoRandom('n', 100, 4),
    assigned_to: randomId(ids.user, 5),
    created_at: randomInstant(6),
    moved_at: 'now()'
  },
  joins: ''
})

const opportunities = (
  organization: number,
  ids: ReferencedIds,
  volume: Volume
): GeneratedTable => ({
  table: 'opportunities',
  columns: {
    lead_id: `(select min(id) from leads where organization_id = ${organization})
      + ${pseudoRandom('n', volume.leads, 7)}`,
    account_id: randomId(ids.account, 8),
    title: `'Sale ' || n`,
    amount: `${pseudoRandom('n', 5_000_000, 9)} / 100.0`,
    pipeline_id: ids.pipeline,
    stage: 'stage.key',
    status: 'stage.kind',
    probability: 'stage.probability',
    close_date: `current_date - 365 + ${pseudoRandom('n', 545, 11)}`,
    assigned_to: randomId(ids.user, 12),
    created_at: randomInstant(13),
    moved_at: 'now()',
    closed_at: `case when stage.kind <> 'open' then now() end`
  },
  joins: `
    join stages stage
      on stage.organization_id = ${organization}
      and stage.pipeline_id = ${ids.pipeline}
      and stage.position = 1 + ${pseudoRandom('n', 6, 10)}`
})

const activities = (ids: ReferencedIds): GeneratedTable => ({
  table: 'activities',
  columns: {
    type: randomText(['call', 'email', 'meeting', 'task', 'note'], 14),
    subject: `'Activity ' || n`,
    status: `case when n % 10 = 0 then 'planned' else 'completed' end`,
    due_at: randomInstant(15),
    completed_at: `case when n % 10 > 0 then ${randomInstant(16)} end`,
    duration_minutes: pseudoRandom('n', 90, 17),
    assigned_to: randomId(ids.user, 18),
    created_at: randomInstant(16),
    links: `jsonb_build_array(
      jsonb_build_object('type', 'contact', 'id', ${randomId(ids.contact, 19)}),
      jsonb_build_object('type', 'account', 'id', ${randomId(ids.account, 20)}))`
  },
  joins: ''
})

/** Statements for the rows that triggers would have written. */
export const derivedRows = (organization: number): string[] => [
  activityLinks(organization),
  stageHistoryOfOpportunities(organization),
  stageHistoryOfLeads(organization)
]

const activityLinks = (organization: number): string => `
  insert into activity_links
  select activity.organization_id, activity.id, link.*,
    coalesce(activity.completed_at, activity.created_at)
  from activities activity, links_of(activity.links) link
  where activity.organization_id = ${organization}
    and not exists (
      select from activity_links existing
      where existing.organization_id = activity.organization_id
        and existing.activity_id = activity.id
    )`

/** An opportunity has passed all open stages before its current one. */
const stageHistoryOfOpportunities = (organization: number): string => `
  insert into moves (
    organization_id, subject_type, subject_id, pipeline_id, from_stage, to_stage, moved_at, seconds
  )
  select opportunity.organization_id, 'opportunity', opportunity.id, opportunity.pipeline_id,
    previous.key, stage.key, opportunity.created_at + stage.position * interval '3 days',
    case
      when previous.key is not null
      then ${pseudoRandom('opportunity.id + stage.id', 600_000, 21)}
    end
  from opportunities opportunity
  join stages current
    on current.organization_id = opportunity.organization_id
    and current.pipeline_id = opportunity.pipeline_id
    and current.key = opportunity.stage
  join stages stage
    on stage.organization_id = opportunity.organization_id
    and stage.pipeline_id = opportunity.pipeline_id
    and stage.position <= current.position
    and (stage.kind = 'open' or stage.id = current.id)
  left join stages previous
    on previous.organization_id = opportunity.organization_id
    and previous.pipeline_id = opportunity.pipeline_id
    and previous.position = stage.position - 1
    and previous.kind = 'open'
  where opportunity.organization_id = ${organization}
    and not exists (
      select from moves existing
      where existing.organization_id = opportunity.organization_id
        and existing.subject_type = 'opportunity'
        and existing.subject_id = opportunity.id
    )`

const stageHistoryOfLeads = (organization: number): string => `
  insert into moves (organization_id, subject_type, subject_id, to_stage, moved_at)
  select lead.organization_id, 'lead', lead.id, lead.status, lead.created_at
  from leads lead
  where lead.organization_id = ${organization}
    and not exists (
      select from moves existing
      where existing.organization_id = lead.organization_id
        and existing.subject_type = 'lead'
        and existing.subject_id = lead.id
    )`

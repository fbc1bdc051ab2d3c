// SQL that generates a large volume of sales data. `n` is the number of the row, from 1.
import type { Volume } from './sales.ts'

interface Range {
  first: string
  count: string
}

/** What the rows refer to. */
export interface Ids {
  pipeline: string
  contact: Range
  account: Range
  user: Range
}

interface GeneratedTable {
  table: keyof Volume
  columns: string
  values: string
  joins: string
}

/** A number from 0 to `limit` - 1: like a random one, and the same in every run. */
const spread = (n: string, limit: string | number, salt: number): string =>
  `(abs(hashint8(${n} * 31 + ${salt})) % ${limit})`
const oneOf = ({ first, count }: Range, salt: number): string =>
  `${first} + ${spread('n', count, salt)}`
const oneOfTexts = (texts: string[], salt: number): string =>
  `(array[${texts.map(text => `'${text}'`).join(', ')}])[1 + ${spread('n', texts.length, salt)}]`
/** An instant of the last two years. */
const past = (salt: number): string =>
  `date_trunc('minute', now()) - ${spread('n', 730 * 1440, salt)} * interval '1 minute'`

/** The select lists that generate leads, opportunities and activities, in this order. */
export function salesTables(organization: number, ids: Ids, volume: Volume): GeneratedTable[] {
  const sources = ['website', 'referral', 'trade show', 'cold call', 'newsletter']
  const statuses = ['new', 'contacted', 'qualified', 'unqualified', 'converted']
  return [
    {
      table: 'leads',
      columns: 'contact_id, source, status, score, assigned_to, created_at, moved_at',
      values: `${oneOf(ids.contact, 1)}, ${oneOfTexts(sources, 2)}, ${oneOfTexts(statuses, 3)},
        ${spread('n', 100, 4)}, ${oneOf(ids.user, 5)}, ${past(6)}, now()`,
      joins: ''
    },
    {
      table: 'opportunities',
      columns: `lead_id, account_id, title, amount, pipeline_id, stage, status, probability,
        close_date, assigned_to, created_at, moved_at`,
      values: `(select min(id) from leads where organization_id = ${organization})
          + ${spread('n', volume.leads, 7)}, ${oneOf(ids.account, 8)}, 'Sale ' || n,
        ${spread('n', 5_000_000, 9)} / 100.0, ${ids.pipeline}, stage.key, stage.kind,
        stage.probability, current_date - 365 + ${spread('n', 545, 11)}, ${oneOf(ids.user, 12)},
        ${past(13)}, now()`,
      joins: `join stages stage on stage.organization_id = ${organization}
        and stage.pipeline_id = ${ids.pipeline} and stage.position = 1 + ${spread('n', 6, 10)}`
    },
    {
      table: 'activities',
      columns: `type, subject, status, due_at, completed_at, duration_minutes, assigned_to,
        created_at, links`,
      values: `${oneOfTexts(['call', 'email', 'meeting', 'task', 'note'], 14)}, 'Activity ' || n,
        case when n % 10 = 0 then 'planned' else 'completed' end, ${past(15)},
        case when n % 10 > 0 then ${past(16)} end, ${spread('n', 90, 17)}, ${oneOf(ids.user, 18)},
        ${past(16)}, jsonb_build_array(
          jsonb_build_object('type', 'contact', 'id', ${oneOf(ids.contact, 19)}),
          jsonb_build_object('type', 'account', 'id', ${oneOf(ids.account, 20)}))`,
      joins: ''
    }
  ]
}

/** What the triggers would have written: links of activities, and the stage history. */
export const transitionsAndLinks = (organization: number): string => `
  insert into activity_links
  select organization_id, id, links.*, coalesce(completed_at, created_at)
  from activities, links_of(links) links
  where organization_id = ${organization} and not exists (
    select from activity_links l
    where l.organization_id = activities.organization_id and l.activity_id = activities.id);

  insert into moves (organization_id, subject_type, subject_id, pipeline_id, from_stage, to_stage,
    moved_at, seconds)
  select o.organization_id, 'opportunity', o.id, o.pipeline_id, previous.key, step.key,
    o.created_at + step.position * interval '3 days',
    case when previous.key is not null then ${spread('o.id + step.id', 600_000, 21)} end
  from opportunities o
  join stages current on current.organization_id = o.organization_id
    and current.pipeline_id = o.pipeline_id and current.key = o.stage
  join stages step on step.organization_id = o.organization_id
    and step.pipeline_id = o.pipeline_id and step.position <= current.position
    and (step.kind = 'open' or step.id = current.id)
  left join stages previous on previous.organization_id = o.organization_id
    and previous.pipeline_id = o.pipeline_id and previous.position = step.position - 1
    and previous.kind = 'open'
  where o.organization_id = ${organization} and not exists (
    select from moves m where m.organization_id = o.organization_id
      and m.subject_type = 'opportunity' and m.subject_id = o.id);

  insert into moves (organization_id, subject_type, subject_id, to_stage, moved_at)
  select organization_id, 'lead', id, status, created_at from leads l
  where organization_id = ${organization} and not exists (
    select from moves m where m.organization_id = l.organization_id
      and m.subject_type = 'lead' and m.subject_id = l.id)`

import type postgres from 'postgres'
import { median } from './search.ts'

export interface Volume {
  activities: number
  leads: number
  opportunities: number
}
export interface Asked {
  title: string
  request: string
  ms: number
  scans: number
}

/** Rows in a statement: each fits into memory, and its progress can be seen. */
const batch = 100_000

/**
 * Fills an organisation that has contacts, accounts and users up to a volume. Written past the triggers, which would take an hour:
 * what they keep (links, moves) is written here.
 */
export async function fillUp(
  sql: postgres.Sql,
  organization: number,
  volume: Volume
): Promise<void> {
  await sql`set session_replication_role = replica`
  await sql`set work_mem = '256MB'`
  const [ids] = await sql<
    Record<
      'pipeline' | 'contact' | 'contacts' | 'account' | 'accounts' | 'user' | 'users',
      string
    >[]
  >`
    select (select min(id) from pipelines where organization_id = ${organization} and is_default)
      as pipeline,
      (select min(id) from contacts where organization_id = ${organization})
      as contact, (select count(*) from contacts where organization_id = ${organization})
      as contacts,
      (select min(id) from accounts where organization_id = ${organization})
      as account, (select count(*) from accounts where organization_id = ${organization})
      as accounts,
      (select min(id) from users where organization_id = ${organization})
      as "user", (select count(*) from users where organization_id = ${organization}) as users`
  // like random numbers, and the same in every run: a row's numbers follow from its own
  const spread = (n: string, most: string | number, salt: number) =>
    `(abs(hashint8(${n} * 31 + ${salt})) % ${most})`
  const one = (kind: 'contact' | 'account' | 'user', salt: number) =>
    `${ids![kind]} + ${spread('n', ids![`${kind}s`], salt)}`
  const past = (salt: number) =>
    `date_trunc('minute', now()) - ${spread('n', 730 * 1440, salt)} * interval '1 minute'`

  for (const [table, most, columns, values] of [
    [
      'leads',
      volume.leads,
      'contact_id, source, status, score, assigned_to, created_at, moved_at',
      `${one('contact', 1)}, (array['website', 'referral', 'trade show', 'cold call', 'newsletter'])[1 + ${spread('n', 5, 2)}], (array['new', 'contacted', 'qualified', 'unqualified', 'converted'])[1 + ${spread('n', 5, 3)}], ${spread('n', 100, 4)}, ${one('user', 5)}, ${past(6)}, now()`
    ],
    [
      'opportunities',
      volume.opportunities,
      'lead_id, account_id, title, amount, pipeline_id, stage, status, probability, close_date, assigned_to, created_at, moved_at',
      `(select min(id) from leads where organization_id = ${organization}) +
        ${spread('n', volume.leads, 7)}, ${one('account', 8)}, 'Sale ' || n,
        ${spread('n', 5_000_000, 9)} / 100.0, ${ids!.pipeline}, stage.key, stage.kind,
        stage.probability, current_date - 365 + ${spread('n', 545, 11)}, ${one('user', 12)},
        ${past(13)}, now()`
    ],
    [
      'activities',
      volume.activities,
      'type, subject, status, due_at, completed_at, duration_minutes, assigned_to, created_at, links',
      `(array['call', 'email', 'meeting', 'task', 'note'])[1 + ${spread('n', 5, 14)}], 'Activity ' || n, case when n % 10 = 0 then 'planned' else 'completed' end, ${past(15)}, case when n % 10 > 0 then ${past(16)} end, ${spread('n', 90, 17)}, ${one('user', 18)}, ${past(16)},
        jsonb_build_array(jsonb_build_object('type', 'contact', 'id', ${one('contact', 19)}), jsonb_build_object('type', 'account', 'id', ${one('account', 20)}))`
    ]
  ] as const) {
    const [{ count } = { count: '0' }] = await sql<
      { count: string }[]
    >`select count(*) from ${sql(table)} where organization_id = ${organization}`
    const from =
      table === 'opportunities'
        ? `join stages stage on stage.organization_id = ${organization}
          and stage.pipeline_id = ${ids!.pipeline} and stage.position = 1 + ${spread('n', 6, 10)}`
        : ''
    for (let first = Number(count) + 1; first <= most; first += batch) {
      await sql.unsafe(
        `insert into ${table} (organization_id, ${columns}) select ${organization}, ${values}
          from generate_series(${first}, ${Math.min(most, first + batch - 1)}::bigint) n ${from}`
      )
      console.log(`${table}: ${Math.min(most, first + batch - 1)}`)
    }
  }
  await sql.unsafe(`
    insert into activity_links select organization_id, id, links.*,
      coalesce(completed_at, created_at) from activities, links_of(links) links
      where organization_id = ${organization}
      and not exists (select from activity_links l
      where l.organization_id = activities.organization_id and l.activity_id = activities.id);
    insert into moves (organization_id, subject_type, subject_id, pipeline_id, from_stage, to_stage,
      moved_at, seconds)
      select o.organization_id, 'opportunity', o.id, o.pipeline_id, was.key, step.key,
        o.created_at + step.position * interval '3 days',
        case when was.key is not null then ${spread('o.id + step.id', 600_000, 21)} end
      from opportunities o join stages present on present.organization_id = o.organization_id
        and present.pipeline_id = o.pipeline_id and present.key = o.stage
      join stages step on step.organization_id = o.organization_id
      and step.pipeline_id = o.pipeline_id and step.position <= present.position
      and (step.kind = 'open' or step.id = present.id)
      left join stages was on was.organization_id = o.organization_id
      and was.pipeline_id = o.pipeline_id and was.position = step.position - 1 and was.kind = 'open'
      where o.organization_id = ${organization}
      and not exists (select from moves m where m.organization_id = o.organization_id
      and m.subject_type = 'opportunity' and m.subject_id = o.id);
    insert into moves (organization_id, subject_type, subject_id, to_stage, moved_at)
      select organization_id, 'lead', id, status, created_at from leads l
      where organization_id = ${organization}
      and not exists (select from moves m where m.organization_id = l.organization_id
      and m.subject_type = 'lead' and m.subject_id = l.id)`)
  await sql`reset session_replication_role`
  for (const table of [
    'leads',
    'opportunities',
    'activities',
    'activity_links',
    'moves',
    'contacts',
    'accounts',
    'events'
  ])
    await sql`vacuum (analyze) ${sql(table)}`
}

/** What a sales team looks at all day. `{contact}` and its like stand for another record each time. */
const questions: [string, string][] = [
  ['timeline of a contact', '/contacts/{contact}/timeline'],
  ['timeline of an account', '/accounts/{account}/timeline'],
  ['timeline of an opportunity', '/opportunities/{opportunity}/timeline'],
  ['contacts with recent activities, and those', '/contacts?include=activities&active_since=30d'],
  ['activities of a contact', '/activities?contact_id={contact}'],
  ['what is overdue', '/activities?overdue=true&sort=due_at'],
  ['calls of a user', '/activities?type=call&assigned_to={user}&sort=-due_at'],
  ['best leads of a source', '/leads?source=referral&status=qualified&sort=-score'],
  ['largest open sales of a user', '/opportunities?status=open&assigned_to={user}&sort=-amount'],
  ['moves of an opportunity', '/opportunities/{opportunity}/moves'],
  ['report: pipeline', '/reports/pipeline'],
  ['report: forecast', '/reports/forecast'],
  ['report: funnel', '/reports/funnel'],
  ['report: sources', '/reports/sources'],
  ['report: activity', '/reports/activity']
]

/** Asks each question so many times, of one record after the other: the median in ms, and how many whole tables Postgres read through for them. */
export async function askAll(
  sql: postgres.Sql,
  url: string,
  headers: Record<string, string>,
  times = 15
): Promise<Asked[]> {
  const ids: Record<string, number[]> = {}
  for (const [kind, table] of [
    ['contact', 'contacts'],
    ['account', 'accounts'],
    ['opportunity', 'opportunities'],
    ['user', 'users']
  ] as const) {
    ids[kind] = (
      await sql<{ id: string }[]>`select id from ${sql(table)} order by hashint8(id) limit ${times}`
    ).map(({ id }) => Number(id))
  }
  const scans = async () => {
    await sql`select pg_stat_force_next_flush()`
    await new Promise(resolve => {
      setTimeout(resolve, 1_500)
    }) // the other backends tell at most once a second, when idle
    const [counted] = await sql<{ scans: string }[]>`
      select sum(seq_scan) as scans from pg_stat_user_tables
        where relname in ('contacts', 'accounts', 'leads', 'opportunities', 'activities',
        'activity_links', 'moves', 'events')`
    return Number(counted!.scans)
  }
  const asked: Asked[] = []
  for (const [title, request] of questions) {
    const before = await scans()
    const taken: number[] = []
    for (let i = 0; i < times; i++) {
      const began = performance.now()
      const answer = await fetch(
        `${url}/api${request.replaceAll(/\{(\w+)\}/g, (_, kind: string) => String(ids[kind]![i % ids[kind]!.length]))}`,
        { headers }
      )
      await answer.text()
      if (answer.status !== 200) throw new Error(`${request}: ${answer.status}`)
      taken.push(performance.now() - began)
    }
    asked.push({ title, request, ms: median(taken), scans: (await scans()) - before })
    console.log(`${title}: ${median(taken).toFixed(1)} ms`)
  }
  return asked
}

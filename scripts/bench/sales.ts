import type postgres from 'postgres'
import { median } from './median.ts'
import { salesTables, transitionsAndLinks, type Ids } from './sales-data.ts'

export interface Volume {
  activities: number
  leads: number
  opportunities: number
}

/** Milliseconds (median) and the number of sequential scans of a request. */
export interface QueryFigures {
  title: string
  request: string
  ms: number
  scans: number
}

/** Rows in a statement: each fits into memory, and its progress can be seen. */
const batch = 100_000

/**
 * Fills an organization that has contacts, accounts and users up to a volume. It bypasses the
 * triggers, which would take an hour, and writes what they write: links and transitions.
 */
export async function fillUp(
  sql: postgres.Sql,
  organization: number,
  volume: Volume
): Promise<void> {
  await sql`set session_replication_role = replica`
  await sql`set work_mem = '256MB'`
  const ids = await idsOf(sql, organization)
  for (const { table, columns, values, joins } of salesTables(organization, ids, volume)) {
    const rows = volume[table]
    const [{ count } = { count: '0' }] = await sql<{ count: string }[]>`
      select count(*) from ${sql(table)} where organization_id = ${organization}`
    for (let first = Number(count) + 1; first <= rows; first += batch) {
      const last = Math.min(rows, first + batch - 1)
      await sql.unsafe(`
        insert into ${table} (organization_id, ${columns}) select ${organization}, ${values}
        from generate_series(${first}, ${last}::bigint) n ${joins}`)
      console.log(`${table}: ${last}`)
    }
  }
  await sql.unsafe(transitionsAndLinks(organization))
  await sql`reset session_replication_role`
  for (const table of [...scannedTables, 'events']) await sql`vacuum (analyze) ${sql(table)}`
}

/** The first ID and the number of rows of each table that the new rows refer to. */
async function idsOf(sql: postgres.Sql, organization: number): Promise<Ids> {
  const ranges = async (table: string) => {
    const [range] = await sql<{ first: string; count: string }[]>`
      select min(id) as first, count(*) from ${sql(table)} where organization_id = ${organization}`
    return range!
  }
  const [pipeline] = await sql<{ id: string }[]>`
    select id from pipelines where organization_id = ${organization} and is_default`
  return {
    pipeline: pipeline!.id,
    contact: await ranges('contacts'),
    account: await ranges('accounts'),
    user: await ranges('users')
  }
}

const scannedTables = [
  'contacts',
  'accounts',
  'leads',
  'opportunities',
  'activities',
  'activity_links',
  'moves'
]

/** The requests of a sales team's day. Each `{contact}` is another record. */
const requests: [string, string][] = [
  ['timeline of a contact', '/contacts/{contact}/timeline'],
  ['timeline of an account', '/accounts/{account}/timeline'],
  ['timeline of an opportunity', '/opportunities/{opportunity}/timeline'],
  ['contacts with recent activities', '/contacts?include=activities&active_since=30d'],
  ['activities of a contact', '/activities?contact_id={contact}'],
  ['overdue activities', '/activities?overdue=true&sort=due_at'],
  ['calls of a user', '/activities?type=call&assigned_to={user}&sort=-due_at'],
  ['best leads of a source', '/leads?source=referral&status=qualified&sort=-score'],
  ['largest open opportunities', '/opportunities?status=open&assigned_to={user}&sort=-amount'],
  ['stage history of an opportunity', '/opportunities/{opportunity}/moves'],
  ['report: pipeline', '/reports/pipeline'],
  ['report: forecast', '/reports/forecast'],
  ['report: funnel', '/reports/funnel'],
  ['report: sources', '/reports/sources'],
  ['report: activity', '/reports/activity']
]

/** Sends each request `times` times, for another record each time. */
export async function measureRequests(
  sql: postgres.Sql,
  url: string,
  headers: Record<string, string>,
  times = 15
): Promise<QueryFigures[]> {
  const ids = await sampleIds(sql, times)
  const figures: QueryFigures[] = []
  for (const [title, request] of requests) {
    const before = await countScans(sql)
    const durations: number[] = []
    for (let i = 0; i < times; i++) {
      const path = request.replaceAll(/\{(\w+)\}/g, (_, kind: string) => String(ids[kind]![i]))
      const began = performance.now()
      const response = await fetch(`${url}/api${path}`, { headers })
      await response.text()
      if (response.status !== 200) throw new Error(`${request}: ${response.status}`)
      durations.push(performance.now() - began)
    }
    const ms = median(durations)
    figures.push({ title, request, ms, scans: (await countScans(sql)) - before })
    console.log(`${title}: ${ms.toFixed(1)} ms`)
  }
  return figures
}

/** `count` IDs of each kind of record, in a random order that is the same in every run. */
async function sampleIds(sql: postgres.Sql, count: number): Promise<Record<string, number[]>> {
  const tables = {
    contact: 'contacts',
    account: 'accounts',
    opportunity: 'opportunities',
    user: 'users'
  }
  const ids: Record<string, number[]> = {}
  for (const [kind, table] of Object.entries(tables)) {
    const rows = await sql<{ id: string }[]>`
      select id from ${sql(table)} order by hashint8(id) limit ${count}`
    ids[kind] = Array.from({ length: count }, (_, i) => Number(rows[i % rows.length]!.id))
  }
  return ids
}

async function countScans(sql: postgres.Sql): Promise<number> {
  await sql`select pg_stat_force_next_flush()`
  // idle backends report at most once per second
  await new Promise(resolve => {
    setTimeout(resolve, 1_500)
  })
  const [row] = await sql<{ scans: string }[]>`
    select sum(seq_scan) as scans from pg_stat_user_tables
    where relname = any(${[...scannedTables, 'events']})`
  return Number(row!.scans)
}

import { setTimeout as sleep } from 'node:timers/promises'
import type postgres from 'postgres'
import { median } from './median.ts'
import { derivedRows, salesTables, type ReferencedIds } from './sales-data.ts'

export interface Volume {
  activities: number
  leads: number
  opportunities: number
}

/** Milliseconds (median) of a request, and the sequential scans of all its repetitions. */
export interface RequestFigures {
  title: string
  request: string
  ms: number
  scans: number
}

/** Rows per statement: they fit into memory, and progress is visible. */
const batchSize = 100_000

/**
 * Adds rows to an organization with contacts, accounts and users until it has `volume`. It bypasses
 * the triggers, which would take an hour, and inserts their links and transitions itself.
 */
export async function createSalesData(
  sql: postgres.Sql,
  organization: number,
  volume: Volume
): Promise<void> {
  await sql`set session_replication_role = replica`
  await sql`set work_mem = '256MB'`
  const ids = await selectReferencedIds(sql, organization)
  for (const { table, columns, joins } of salesTables(organization, ids, volume)) {
    const [{ count } = { count: '0' }] = await sql<{ count: string }[]>`
      select count(*) from ${sql(table)} where organization_id = ${organization}`
    for (let first = Number(count) + 1; first <= volume[table]; first += batchSize) {
      const last = Math.min(volume[table], first + batchSize - 1)
      await sql.unsafe(`
        insert into ${table} (organization_id, ${Object.keys(columns).join(', ')})
        select ${organization}, ${Object.values(columns).join(', ')}
        from generate_series(${first}, ${last}::bigint) n
        ${joins}`)
      console.log(`${table}: ${last}`)
    }
  }
  for (const statement of derivedRows(organization)) await sql.unsafe(statement)
  await sql`reset session_replication_role`
  for (const table of [...scannedTables, 'events']) await sql`vacuum (analyze) ${sql(table)}`
}

async function selectReferencedIds(
  sql: postgres.Sql,
  organization: number
): Promise<ReferencedIds> {
  const selectRange = async (table: string) => {
    const [range] = await sql<{ first: string; count: string }[]>`
      select min(id) as first, count(*)
      from ${sql(table)}
      where organization_id = ${organization}`
    return range!
  }
  const [pipeline] = await sql<{ id: string }[]>`
    select id from pipelines where organization_id = ${organization} and is_default`
  return {
    pipeline: pipeline!.id,
    contact: await selectRange('contacts'),
    account: await selectRange('accounts'),
    user: await selectRange('users')
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

/** Typical requests of a sales team. `{contact}` is another one in each repetition. */
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

/** Sends each request `times` times, for another record each time. Errors: if one is not a 200. */
export async function measureRequests(
  sql: postgres.Sql,
  url: string,
  headers: Record<string, string>,
  times = 15
): Promise<RequestFigures[]> {
  const ids = await selectSampleIds(sql, times)
  const figures: RequestFigures[] = []
  for (const [title, request] of requests) {
    const before = await countScans(sql)
    const durations: number[] = []
    for (let i = 0; i < times; i++) {
      const path = request.replaceAll(/\{(\w+)\}/g, (_, kind: string) => String(ids[kind]![i]))
      durations.push(await timeRequest(`${url}/api${path}`, headers))
    }
    const ms = median(durations)
    figures.push({ title, request, ms, scans: (await countScans(sql)) - before })
    console.log(`${title}: ${ms.toFixed(1)} ms`)
  }
  return figures
}

/** Milliseconds of a request, with its body. Errors: if it is not a 200. */
export async function timeRequest(url: string, headers: Record<string, string>): Promise<number> {
  const start = performance.now()
  const response = await fetch(url, { headers })
  await response.text()
  if (response.status !== 200) throw new Error(`GET ${url}: ${response.status}`)
  return performance.now() - start
}

/** Selects `count` IDs of each kind of record, in a pseudo-random order. */
async function selectSampleIds(
  sql: postgres.Sql,
  count: number
): Promise<Record<string, number[]>> {
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
  await sleep(1_500) // idle backends report at most once per second
  const [row] = await sql<{ scans: string }[]>`
    select sum(seq_scan) as scans
    from pg_stat_user_tables
    where relname = any(${[...scannedTables, 'events']})`
  return Number(row!.scans)
}

// Measures the API against a bare route and the bare driver, and with a large volume of sales data:
// npm run bench -- --contacts 100000 --activities 1000000 --rounds 5 --seconds 2
// Writes BENCHMARKS.md. Uses a new database on the server of DATABASE_URL, or an embedded Postgres.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import postgres from 'postgres'
import { createServices } from '../src/services.ts'
import type { Principal } from '../src/core/access/principal.ts'
import { Access } from '../src/core/access/permissions.ts'
import { casesOf, recordQuery, type Case, type Route } from './bench/cases.ts'
import { createBareTable, createBenchDatabase, selectSearchTerms } from './bench/database.ts'
import { load } from './bench/load.ts'
import { median } from './bench/median.ts'
import { measurePages } from './bench/pages.ts'
import { probe, runScript, startServer, type Process } from './bench/processes.ts'
import { compareReach } from './bench/reach.ts'
import { report, type CaseFigures, type Figures, type StartFigures } from './bench/report.ts'
import { createSalesData, measureRequests, type Volume } from './bench/sales.ts'
import { compareSearch } from './bench/search.ts'
import { compareWrites } from './bench/writes.ts'

const { values: options } = parseArgs({
  options: {
    contacts: { type: 'string', default: '100000' },
    activities: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    // names of cases, `writes` or `sales`, separated by commas: a quick run that writes nothing
    only: { type: 'string' },
    profile: { type: 'string' } // folder for a .cpuprofile of the API per case
  }
})
const contactCount = Number(options.contacts)
const activityCount = Number(options.activities)
const rounds = Number(options.rounds)
const seconds = Number(options.seconds)
const serverKinds = ['api', 'bare', 'driver'] as const
type ServerKind = (typeof serverKinds)[number]
type Servers = Record<ServerKind, Process>

const folder = mkdtempSync(path.join(tmpdir(), 'smartx-bench-'))
const log = path.join(folder, 'log')
const cleanup: (() => Promise<unknown>)[] = [
  async () => {
    rmSync(folder, { recursive: true, force: true })
  }
]
const admin = { username: 'bench@example.com', password: 'load tests in a quiet harbor' }
const settings = {
  JWT_SECRET: 'a benchmark secret of more than 32 bytes',
  ADMIN_USERNAME: admin.username,
  ADMIN_PASSWORD: admin.password,
  RATE_LIMIT_MAX: '100000000',
  LOG_LEVEL: 'info'
}

try {
  await bench()
} finally {
  for (const close of cleanup.toReversed()) await close()
}

async function bench() {
  const starts = await measureStarts()
  const { database_url, sql } = await createSeededDatabase()
  const principal = await selectPrincipal(sql)
  const api = await serve('./api.ts', [], { ...settings, DATABASE_URL: database_url })
  const pages = await measurePages(`${api.url}/api/contacts`, await login(api), contactCount)
  const values = await selectRequestValues(sql)
  const cases = casesOf({ contactCount, cursor: pages.middle, ...values })
  const routes = await recordRoutes(cases, api, database_url, principal)
  const searches = await compareSearch(
    sql,
    principal.organization_id,
    routes.find(({ name }) => name === 'search')!.sql,
    await selectSearchTerms(sql)
  )
  const servers = { api, ...(await serveBaselines(routes, database_url)) }
  const figures = await measureCases(
    servers,
    cases.filter(({ name }) => isSelected(name))
  )
  const { rss } = await probe(api, 'usage')
  const writes = isSelected('writes') ? await compareWrites(api, await login(api), rounds) : []
  const volume = {
    activities: activityCount,
    leads: activityCount * 0.3,
    opportunities: activityCount * 0.3
  }
  const { sales, reach } = isSelected('sales')
    ? await measureSales(sql, api, principal.organization_id, volume)
    : { sales: [], reach: [] }
  const [server] = await sql<{ server_version: string }[]>`show server_version`
  const text = report({
    command: process.argv.slice(2).join(' '),
    contactCount,
    rounds,
    seconds,
    cases: figures,
    rss,
    starts,
    pages,
    searches,
    writes,
    volume,
    sales,
    reach,
    postgres: server!.server_version
  })
  if (options.only === undefined) writeFileSync('BENCHMARKS.md', text)
  console.log(text)
}

function isSelected(name: string): boolean {
  return options.only?.split(',').includes(name) ?? true
}

async function createSeededDatabase(): Promise<{ database_url: string; sql: postgres.Sql }> {
  const { url: database_url, close } = await createBenchDatabase(folder)
  cleanup.push(close)
  const env = { ...settings, DATABASE_URL: database_url }
  await runScript('../seed.ts', ['--contacts', String(contactCount)], env)
  const sql = postgres(database_url, { max: 1, onnotice: () => {} })
  cleanup.push(() => sql.end())
  // otherwise each change of a contact adds a job, which runs during other measurements
  await sql`update scoring_models set status = 'draft'`
  await createBareTable(sql)
  return { database_url, sql }
}

async function selectRequestValues(
  sql: postgres.Sql
): Promise<{ authors: number[]; names: string[] }> {
  const authors = await sql<{ id: string }[]>`select distinct created_by as id from contacts`
  const names = await sql<{ name: string }[]>`
    select distinct last_name as name from contacts where id % 100 = 0`
  return { authors: authors.map(({ id }) => Number(id)), names: names.map(({ name }) => name) }
}

async function selectPrincipal(sql: postgres.Sql): Promise<Principal> {
  const [user] = await sql<{ organization_id: string; id: string }[]>`
    select organization_id, id from users where username = ${admin.username}`
  return {
    organization_id: Number(user!.organization_id),
    user_id: Number(user!.id),
    access: Access.unlimited,
    team_ids: [],
    colleague_ids: [],
    session_id: null,
    time_zone: 'UTC'
  }
}

/** Records the response and the SQL of each case, for the baselines. */
async function recordRoutes(
  cases: Case[],
  api: Process,
  database_url: string,
  principal: Principal
): Promise<Route[]> {
  const services = createServices({
    database_url,
    redis_url: undefined,
    jwt_secret: settings.JWT_SECRET,
    password_cost: { memory: 8, passes: 1 }
  })
  const headers = { ...(await login(api)), 'content-type': 'application/json' }
  const recordRoute = async (item: Case): Promise<Route> => {
    const response = await fetch(`${api.url}/api${item.path(1)}`, {
      method: item.method,
      headers,
      ...(item.body && { body: JSON.stringify(item.body(0)) })
    })
    const { text, parameters } = await recordQuery(services, principal, item.run)
    const bareText = item.method === 'GET' ? text : text.replaceAll('"contacts"', '"contacts_bare"')
    return {
      ...item,
      sql: { text: bareText, parameters },
      status: response.status,
      body: await response.text()
    }
  }
  return await Promise.all(cases.map(recordRoute))
}

async function serveBaselines(routes: Route[], database_url: string) {
  const file = path.join(folder, 'routes.json')
  writeFileSync(file, JSON.stringify(routes))
  return {
    bare: await serve('./baseline.ts', ['bare', database_url, file], {}),
    driver: await serve('./baseline.ts', ['driver', database_url, file], {})
  }
}

async function measureSales(
  sql: postgres.Sql,
  api: Process,
  organization_id: number,
  volume: Volume
) {
  await createSalesData(sql, organization_id, volume)
  const headers = await login(api)
  const reach = await compareReach(api.url, headers, async account => await login(api, account))
  return { sales: await measureRequests(sql, api.url, headers), reach }
}

/** Measures each case on each server in each round, so that disturbances affect all of them. */
async function measureCases(servers: Servers, cases: Case[]): Promise<CaseFigures[]> {
  const samples = cases.map(() => ({
    api: [] as Figures[],
    bare: [] as Figures[],
    driver: [] as Figures[]
  }))
  for (let round = 0; round <= rounds; round++) {
    const headers = await login(servers.api)
    for (const [i, item] of cases.entries())
      for (let turn = 0; turn < serverKinds.length; turn++) {
        const kind = serverKinds[(turn + round + i) % serverKinds.length]!
        const figures = await measure(servers[kind], kind, item, headers, round)
        if (figures) samples[i]![kind].push(figures)
      }
    console.log(round === 0 ? 'warm-up complete' : `round ${round} of ${rounds}`)
  }
  return cases.map(({ title }, i) => {
    const { api, bare, driver } = samples[i]!
    return { title, api: medians(api), bare: medians(bare), driver: medians(driver) }
  })
}

function medians(samples: Figures[]): Figures {
  return {
    cpu: median(samples.map(({ cpu }) => cpu)),
    rate: median(samples.map(({ rate }) => rate))
  }
}

/** Measures a case on a server; undefined for the warm-up and for a profiled round. */
async function measure(
  server: Process,
  kind: ServerKind,
  item: Case,
  headers: Record<string, string>,
  round: number
): Promise<Figures | undefined> {
  const isProfiled = options.profile !== undefined && kind === 'api' && round === rounds
  if (isProfiled) await probe(server, 'profile')
  const prefix = kind === 'api' ? '/api' : `/${item.name}`
  const commonHeaders = kind === 'api' ? headers : {}
  const figures = await load(server, prefix, item, commonHeaders, round === 0 ? 1 : seconds)
  if (isProfiled) {
    const saveTo = path.resolve(options.profile!, `${item.name}.cpuprofile`)
    await probe(server, { saveTo })
  }
  return round === 0 || isProfiled ? undefined : figures
}

/** Starts a server; the cleanup stops it. */
async function serve(
  script: string,
  args: string[],
  env: Record<string, string>
): Promise<Process> {
  const server = await startServer(script, args, env, log)
  cleanup.push(server.stop)
  return server
}

/** Starts the API as `npm start` without settings: on an empty folder, then three more times. */
async function measureStarts(): Promise<StartFigures> {
  const env = { DATABASE_URL: '', DATA_DIR: path.join(folder, 'starts') }
  const durations: number[] = []
  for (let i = 0; i < 4; i++) {
    const { ms, stop } = await startServer('../../src/main.ts', [], env, log)
    durations.push(ms)
    await stop()
  }
  const [first, ...later] = durations as [number, ...number[]]
  return { first, later: median(later) }
}

async function login(server: Process, account = admin): Promise<Record<string, string>> {
  const response = await fetch(`${server.url}/api/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(account)
  })
  const { token } = (await response.json()) as { token: string }
  return { authorization: `Bearer ${token}` }
}

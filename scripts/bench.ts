// Measures the API against a bare route and the bare driver, and with a large volume of sales data:
// npm run bench -- --contacts 100000 --activities 1000000 --rounds 5 --seconds 2
// Writes BENCHMARKS.md. With DATABASE_URL it creates a database on that server, otherwise it starts
// a Postgres.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import postgres from 'postgres'
import { createServices } from '../src/services.ts'
import type { Principal } from '../src/core/access/context.ts'
import { casesOf, recordQuery, type Case, type Route } from './bench/cases.ts'
import { createBareTable, openDatabase, searchTerms } from './bench/database.ts'
import { load } from './bench/load.ts'
import { median } from './bench/median.ts'
import { measurePages } from './bench/pages.ts'
import { probe, runScript, start, type Process } from './bench/processes.ts'
import { report, type Figures, type StartFigures } from './bench/report.ts'
import { fillUp, measureRequests } from './bench/sales.ts'
import { compareSearch } from './bench/search.ts'

const { values: options } = parseArgs({
  options: {
    contacts: { type: 'string', default: '100000' },
    activities: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    // cases, or `sales`, separated by commas: a quick run that writes nothing
    only: { type: 'string' },
    profile: { type: 'string' } // a folder for a .cpuprofile of the API for each case
  }
})
const size = Number(options.contacts)
const rounds = Number(options.rounds)
const seconds = Number(options.seconds)
const servers = ['api', 'bare', 'driver'] as const
type Server = (typeof servers)[number]

const folder = mkdtempSync(path.join(tmpdir(), 'smartx-bench-'))
const log = path.join(folder, 'log')
const cleanup: (() => Promise<unknown>)[] = [
  async () => {
    rmSync(folder, { recursive: true, force: true })
  }
]
const admin = { username: 'bench@example.com', password: 'a bench on a quiet harbour' }
const settings = {
  JWT_SECRET: 'a secret of the benchmark, longer than 32 bytes',
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
  const { database_url, sql } = await seededDatabase()
  const api = await serve('./api.ts', [], { ...settings, DATABASE_URL: database_url })
  const pages = await measurePages(`${api.url}/api/contacts`, await login(api), size)
  const cases = casesOf({ cursor: pages.middle, ...(await valuesOf(sql)) })
  const principal = await principalOf(sql)
  const routes = await routesOf(cases, api, database_url, principal)
  const search = routes.find(({ name }) => name === 'search')!.sql
  const terms = await searchTerms(sql)
  const searches = await compareSearch(sql, principal.organization_id, search, terms)

  const file = path.join(folder, 'routes.json')
  writeFileSync(file, JSON.stringify(routes))
  const baseline = async (kind: Server) =>
    await serve('./baseline.ts', [kind, database_url, file], {})
  const running = { api, bare: await baseline('bare'), driver: await baseline('driver') }
  const figures = await measureCases(
    running,
    cases.filter(({ name }) => isWanted(name))
  )
  const { rss } = await probe(api, 'usage')
  const activities = Number(options.activities)
  const volume = { activities, leads: activities * 0.3, opportunities: activities * 0.3 }
  if (isWanted('sales')) await fillUp(sql, principal.organization_id, volume)
  const sales = isWanted('sales') ? await measureRequests(sql, api.url, await login(api)) : []
  const [server] = await sql<{ server_version: string }[]>`show server_version`
  const text = report({
    command: process.argv.slice(2).join(' '),
    size,
    rounds,
    seconds,
    cases: figures,
    rss,
    starts,
    pages,
    searches,
    volume,
    sales,
    postgres: server!.server_version
  })
  if (options.only === undefined) writeFileSync('BENCHMARKS.md', text)
  console.log(text)
}

function isWanted(name: string): boolean {
  return options.only?.split(',').includes(name) ?? true
}

async function seededDatabase(): Promise<{ database_url: string; sql: postgres.Sql }> {
  const { url: database_url, close } = await openDatabase(folder)
  cleanup.push(close)
  const env = { ...settings, DATABASE_URL: database_url }
  await runScript('../seed.ts', ['--contacts', String(size)], env)
  const sql = postgres(database_url, { max: 1, onnotice: () => {} })
  cleanup.push(() => sql.end())
  // otherwise each change of a contact adds a job, which runs while something else is measured
  await sql`update scoring_models set status = 'draft'`
  await createBareTable(sql)
  return { database_url, sql }
}

async function valuesOf(sql: postgres.Sql): Promise<{ authors: number[]; words: string[] }> {
  const authors = await sql<{ id: string }[]>`select distinct created_by as id from contacts`
  const words = await sql<{ word: string }[]>`
    select distinct last_name as word from contacts where id % 100 = 0`
  return { authors: authors.map(({ id }) => Number(id)), words: words.map(({ word }) => word) }
}

async function principalOf(sql: postgres.Sql): Promise<Principal> {
  const [user] = await sql<{ organization_id: string; id: string }[]>`
    select organization_id, id from users where username = ${admin.username}`
  return {
    organization_id: Number(user!.organization_id),
    user_id: Number(user!.id),
    role: 'admin',
    session_id: null
  }
}

/** The cases with the responses of the API and their SQL, for the baselines. */
async function routesOf(
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
  return await Promise.all(
    cases.map(async (one): Promise<Route> => {
      const response = await fetch(`${api.url}/api${one.path(1)}`, {
        method: one.method,
        headers,
        ...(one.body && { body: JSON.stringify(one.body(0)) })
      })
      const { text, parameters } = await recordQuery(services, principal, one.run)
      const withoutEvents =
        one.method === 'GET' ? text : text.replaceAll('"contacts"', '"contacts_bare"')
      const sql = { text: withoutEvents, parameters }
      return { ...one, sql, status: response.status, body: await response.text() }
    })
  )
}

/** Measures each case on each server in each round, so that disturbances affect all of them. */
async function measureCases(running: Record<Server, Process>, cases: Case[]) {
  const all = new Map<string, Figures[]>()
  for (let round = 0; round <= rounds; round++) {
    const headers = await login(running.api)
    for (const [i, one] of cases.entries()) {
      for (let turn = 0; turn < servers.length; turn++) {
        const server = servers[(turn + round + i) % servers.length]!
        const figures = await measure(running[server], server, one, headers, round)
        const key = `${one.name} ${server}`
        if (figures) all.set(key, [...(all.get(key) ?? []), figures])
      }
    }
    console.log(round === 0 ? 'warm' : `round ${round} of ${rounds}`)
  }
  const medians = (one: Case, server: Server): Figures => {
    const figures = all.get(`${one.name} ${server}`)!
    return {
      cpu: median(figures.map(({ cpu }) => cpu)),
      rate: median(figures.map(({ rate }) => rate))
    }
  }
  return cases.map(one => ({
    one,
    api: medians(one, 'api'),
    bare: medians(one, 'bare'),
    driver: medians(one, 'driver')
  }))
}

/** Undefined for the warm-up, and for a round that is profiled instead. */
async function measure(
  process: Process,
  server: Server,
  one: Case,
  headers: Record<string, string>,
  round: number
): Promise<Figures | undefined> {
  const isProfiled = options.profile !== undefined && server === 'api' && round === rounds
  if (isProfiled) await probe(process, 'profile')
  const prefix = server === 'api' ? '/api' : `/${one.name}`
  const common = server === 'api' ? headers : {}
  const figures = await load(process, prefix, one, common, round === 0 ? 1 : seconds)
  if (isProfiled) {
    const keep = path.resolve(options.profile!, `${one.name}.cpuprofile`)
    await probe(process, { keep })
  }
  return round === 0 || isProfiled ? undefined : figures
}

/** Starts a server that is stopped at the end. */
async function serve(
  script: string,
  args: string[],
  env: Record<string, string>
): Promise<Process> {
  const server = await start(script, args, env, '/readyz', log)
  cleanup.push(server.stop)
  return server
}

/** Starts the API as `npm start` without settings: from an empty folder, then three times more. */
async function measureStarts(): Promise<StartFigures> {
  const env = { DATABASE_URL: '', DATA_DIR: path.join(folder, 'starts') }
  const durations: number[] = []
  for (let i = 0; i < 4; i++) {
    const { ms, stop } = await start('../../src/main.ts', [], env, '/readyz', log)
    durations.push(ms)
    await stop()
  }
  const [first, ...later] = durations as [number, ...number[]]
  return { first, later: median(later) }
}

async function login(server: Process): Promise<Record<string, string>> {
  const response = await fetch(`${server.url}/api/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(admin)
  })
  const { token } = (await response.json()) as { token: string }
  return { authorization: `Bearer ${token}` }
}

// How fast is the API beside a bare route and beside the bare driver, and with a lot of sales?
// npm run bench -- --contacts 100000 --activities 1000000 --rounds 5 --seconds 2
// Writes BENCHMARKS.md. With DATABASE_URL it makes a database of its own on that server, else it
// starts a Postgres.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import postgres from 'postgres'
import { createServices } from '../src/services.ts'
import { casesOf, recorded, type Case, type Route } from './bench/cases.ts'
import { makeBareTable, openDatabase, searchTerms } from './bench/database.ts'
import { load } from './bench/load.ts'
import { walk } from './bench/pages.ts'
import { ask, runScript, start, type Process } from './bench/processes.ts'
import { report, type Figures, type Starts } from './bench/report.ts'
import { askAll, fillUp } from './bench/sales.ts'
import { compareSearch, median } from './bench/search.ts'

const { values: options } = parseArgs({
  options: {
    contacts: { type: 'string', default: '100000' },
    activities: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    // names of cases, or sales, separated by commas: a quick look, that writes nothing
    only: { type: 'string' },
    profile: { type: 'string' } // a folder: for each case, a .cpuprofile of the API
  }
})
const [size, activities, rounds, seconds] = [
  options.contacts,
  options.activities,
  options.rounds,
  options.seconds
].map(Number) as [number, number, number, number]
const kinds = ['ours', 'bare', 'driver'] as const
type Kind = (typeof kinds)[number]

const folder = mkdtempSync(path.join(tmpdir(), 'smartx-bench-'))
const log = path.join(folder, 'log')
const closing: (() => Promise<unknown>)[] = [
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
  for (const close of closing.toReversed()) await close()
}

async function bench() {
  const starts = await timeStarts()
  const { url: database_url, close } = await openDatabase(folder)
  closing.push(close)
  await runScript('../seed.ts', ['--contacts', String(size)], {
    ...settings,
    DATABASE_URL: database_url
  })
  const sql = postgres(database_url, { max: 1, onnotice: () => {} })
  closing.push(() => sql.end())
  // no scores: each change of a contact would leave a job, done while something else is measured
  await sql`update scoring_models set status = 'draft'`
  await makeBareTable(sql)

  const ours = await opened('./api.ts', [], { ...settings, DATABASE_URL: database_url })
  const pages = await walk(`${ours.url}/api/contacts`, await login(ours), size)
  const cases = casesOf({
    deep: pages.middle,
    authors: (await sql<{ id: string }[]>`select distinct created_by as id from contacts`).map(
      ({ id }) => Number(id)
    ),
    words: (
      await sql<
        { word: string }[]
      >`select distinct last_name as word from contacts where id % 100 = 0`
    ).map(({ word }) => word)
  })

  const [me] = await sql<
    { organization_id: string; id: string }[]
  >`select organization_id, id from users where username = ${admin.username}`
  const principal = {
    organization_id: Number(me!.organization_id),
    user_id: Number(me!.id),
    role: 'admin' as const,
    session_id: null
  }
  const services = createServices({
    database_url,
    redis_url: undefined,
    jwt_secret: settings.JWT_SECRET,
    password_cost: { memory: 8, passes: 1 }
  })
  const routes = await Promise.all(
    cases.map(async (one): Promise<Route> => {
      const answer = await fetch(`${ours.url}/api${one.path(1)}`, {
        method: one.method,
        headers: { ...(await login(ours)), 'content-type': 'application/json' },
        ...(one.body && { body: JSON.stringify(one.body(0)) })
      })
      const { text, parameters } = await recorded(services, principal, one.run)
      const withoutEvents =
        one.method === 'GET' ? text : text.replaceAll('"contacts"', '"contacts_bare"')
      return {
        ...one,
        sql: { text: withoutEvents, parameters },
        status: answer.status,
        body: await answer.text()
      }
    })
  )
  writeFileSync(path.join(folder, 'routes.json'), JSON.stringify(routes))
  const searches = await compareSearch(
    sql,
    principal.organization_id,
    routes.find(({ name }) => name === 'search')!.sql,
    await searchTerms(sql)
  )

  const baseline = (kind: Kind) =>
    opened('./baseline.ts', [kind, database_url, path.join(folder, 'routes.json')], {})
  const servers = { ours, bare: await baseline('bare'), driver: await baseline('driver') }
  const measured = await measure(
    servers,
    cases.filter(({ name }) => options.only?.split(',').includes(name) ?? true)
  )
  const { rss } = await ask(ours, 'usage')
  const volume = { activities, leads: activities * 0.3, opportunities: activities * 0.3 }
  const wanted = options.only === undefined || options.only.split(',').includes('sales')
  if (wanted) await fillUp(sql, principal.organization_id, volume)
  const sales = wanted ? await askAll(sql, ours.url, await login(ours)) : []
  const [server] = await sql<{ server_version: string }[]>`show server_version`
  const text = report({
    command: process.argv.slice(2).join(' '),
    size,
    rounds,
    seconds,
    measured,
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

/** Each case on each server in each round, so that what else the machine does meets all of them. */
async function measure(servers: Record<Kind, Process>, cases: Case[]) {
  const taken = new Map<string, Figures[]>()
  for (let round = 0; round <= rounds; round++) {
    const headers = await login(servers.ours)
    for (const [i, one] of cases.entries()) {
      for (let turn = 0; turn < kinds.length; turn++) {
        const kind = kinds[(turn + round + i) % kinds.length]!
        const server = servers[kind]
        const profiling = options.profile !== undefined && kind === 'ours' && round === rounds
        if (profiling) await ask(server, 'profile')
        const figures = await load(
          server,
          kind === 'ours' ? '/api' : `/${one.name}`,
          one,
          kind === 'ours' ? headers : {},
          round === 0 ? 1 : seconds
        )
        if (profiling)
          await ask(server, { keep: path.resolve(options.profile!, `${one.name}.cpuprofile`) })
        else if (round > 0)
          taken.set(`${one.name} ${kind}`, [...(taken.get(`${one.name} ${kind}`) ?? []), figures])
      }
    }
    console.log(round === 0 ? 'warm' : `round ${round} of ${rounds}`)
  }
  const figures = (one: Case, kind: Kind): Figures => {
    const all = taken.get(`${one.name} ${kind}`)!
    return { cpu: median(all.map(({ cpu }) => cpu)), rate: median(all.map(({ rate }) => rate)) }
  }
  return cases.map(one => ({
    one,
    ours: figures(one, 'ours'),
    bare: figures(one, 'bare'),
    driver: figures(one, 'driver')
  }))
}

/** Starts a server that is stopped at the end. */
async function opened(
  script: string,
  args: string[],
  env: Record<string, string>
): Promise<Process> {
  const server = await start(script, args, env, '/readyz', log)
  closing.push(server.stop)
  return server
}

/**
 * How long it takes until the server is ready, as `npm start` with nothing set: from an empty
 * folder, and from then on.
 */
async function timeStarts(): Promise<Starts> {
  const times: number[] = []
  for (let i = 0; i < 4; i++) {
    const { ms, stop } = await start(
      '../../src/main.ts',
      [],
      { DATABASE_URL: '', DATA_DIR: path.join(folder, 'starts') },
      '/readyz',
      log
    )
    times.push(ms)
    await stop()
  }
  const [first, ...later] = times as [number, ...number[]]
  return { first, later: median(later) }
}

async function login(server: Process): Promise<Record<string, string>> {
  const answer = await fetch(`${server.url}/api/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(admin)
  })
  const { token } = (await answer.json()) as { token: string }
  return { authorization: `Bearer ${token}` }
}

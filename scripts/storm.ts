// Measures what an organization notices of another one that sends slow requests all the time:
// npm run storm -- --contacts 100000 --requests 50 --seconds 15
// Uses a new database on the server of DATABASE_URL, or an embedded Postgres.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createOrganization } from '../src/bootstrap/organizations.ts'
import { closeServices, createServices } from '../src/services.ts'
import { createBenchDatabase } from './bench/database.ts'
import { runScript, startServer } from './bench/processes.ts'

const { values: options } = parseArgs({
  options: {
    contacts: { type: 'string', default: '100000' },
    requests: { type: 'string', default: '50' },
    seconds: { type: 'string', default: '15' }
  }
})
const milliseconds = 1000 * Number(options.seconds)

const secret = 'a secret of the storm, longer than 32 bytes'
const password = 'load tests in a quiet harbor'
const greedy = 'greedy@example.com'
const other = 'other@example.com'

interface Sample {
  /** Milliseconds of the successful responses. */
  times: number[]
  statuses: Map<number, number>
}

const folder = mkdtempSync(path.join(tmpdir(), 'smartx-storm-'))
const database = await createBenchDatabase(folder)
const settings = {
  DATABASE_URL: database.url,
  JWT_SECRET: secret,
  ADMIN_USERNAME: greedy,
  ADMIN_PASSWORD: password,
  RATE_LIMIT_MAX: '100000000'
}
await runScript('../seed.ts', ['--contacts', options.contacts], settings)
await createOtherOrganization()
const server = await startServer('./api.ts', [], settings, path.join(folder, 'log'))
try {
  await measure()
} finally {
  await server.stop()
  await database.close()
  rmSync(folder, { recursive: true, force: true })
}

async function createOtherOrganization(): Promise<void> {
  const services = createServices({
    database_url: database.url,
    redis_url: undefined,
    jwt_secret: secret,
    password_cost: { memory: 19_456, passes: 2 }
  })
  await createOrganization(services, 'Other', { username: other, email: other, password })
  await closeServices(services)
}

async function send(method: string, url: string, body?: object, token?: string): Promise<Response> {
  const response = await fetch(`${server.url}/api${url}`, {
    method,
    headers: {
      ...(body && { 'content-type': 'application/json' }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      'cache-control': 'no-cache'
    },
    ...(body && { body: JSON.stringify(body) })
  })
  return response
}

async function tokenOf(username: string): Promise<string> {
  const response = await send('POST', '/auth/login', { username, password })
  return ((await response.json()) as { token: string }).token
}

/** Sends a request again and again, as `callers` do it side by side, `pause` ms between two. */
async function repeat(
  request: () => Promise<Response>,
  { callers = 1, pause = 0 }: { callers?: number; pause?: number }
): Promise<Sample> {
  const sample: Sample = { times: [], statuses: new Map() }
  const until = performance.now() + milliseconds
  const repeatOne = async () => {
    while (performance.now() < until) {
      await sleep(pause)
      const start = performance.now()
      const response = await request()
      await response.arrayBuffer()
      const { status } = response
      sample.statuses.set(status, (sample.statuses.get(status) ?? 0) + 1)
      if (response.ok) sample.times.push(performance.now() - start)
      else await sleep(1000 * Number(response.headers.get('retry-after') ?? 1))
    }
  }
  await Promise.all(Array.from({ length: callers }, repeatOne))
  return sample
}

async function measure(): Promise<void> {
  const token = await tokenOf(other)
  const contact = { first_name: 'John', last_name: 'Doe' }
  const created = await send('POST', '/contacts', contact, token)
  const { id } = (await created.json()) as { id: number }
  const cases = {
    get: async () => await send('GET', `/contacts/${id}`, undefined, token),
    create: async () => await send('POST', '/contacts', contact, token),
    login: async () => await send('POST', '/auth/login', { username: other, password }),
    list: async () => await send('GET', '/contacts', undefined, token)
  }
  const measureAll = async () =>
    await Promise.all(
      Object.values(cases).map(async request => {
        const { times, statuses } = await repeat(request, { pause: 20 })
        return { p95: percentile(times, 95), statuses }
      })
    )

  const idle = await measureAll()
  const viewer = await tokenOf(greedy)
  const slow = async () =>
    await send('GET', '/contacts?email[like]=e&count=exact', undefined, viewer)
  const [storm, busy] = await Promise.all([
    repeat(slow, { callers: Number(options.requests) }),
    sleep(500).then(measureAll)
  ])
  console.log(`${options.requests} slow requests at a time: ${describe(storm.statuses)}`)
  for (const [i, name] of Object.keys(cases).entries()) {
    const [before, during] = [idle[i]!, busy[i]!]
    const ratio = (during.p95 / before.p95).toFixed(1)
    console.log(
      `${name.padEnd(8)} p95 ${before.p95.toFixed(1)} ms idle, ${during.p95.toFixed(1)} ms ` +
        `beside them (${ratio}×): ${describe(during.statuses)}`
    )
  }
}

function percentile(values: number[], percent: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length * percent) / 100)] ?? NaN
}

function describe(statuses: Map<number, number>): string {
  return [...statuses].map(([status, count]) => `${count} × ${status}`).join(', ')
}

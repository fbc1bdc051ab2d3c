// Calls every operation of the document with valid, extreme and broken requests, and checks every
// response with a plain JSON Schema validator: npm run fuzz -- --calls 3000 --seed 1
// Exits with 1 if anything is found.
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import postgres from 'postgres'
import { pino } from 'pino'
import { buildApp } from '../src/app.ts'
import { embeddedRole } from '../src/bootstrap/application-role.ts'
import { createOrganization } from '../src/bootstrap/organizations.ts'
import { Actor } from './fuzz/actors.ts'
import type { Document } from './fuzz/document.ts'
import { Findings } from './fuzz/findings.ts'
import { Run } from './fuzz/run.ts'
import { startCluster } from './test/cluster.ts'

const { values: options } = parseArgs({
  options: {
    calls: { type: 'string', default: '50000' },
    seed: { type: 'string', default: '1' }
  }
})
const document = JSON.parse(readFileSync('openapi/openapi.json', 'utf8')) as Document

const cluster = await startCluster()
const admin = postgres(cluster.url, { max: 1, onnotice: () => {} })
await admin.unsafe(`create database test_fuzz_${process.pid} template ${cluster.template}`)
const app = await buildApp(
  {
    database_url: cluster.url
      .replace('//postgres@', `//${embeddedRole}@`)
      .replace(/postgres$/, `test_fuzz_${process.pid}`),
    redis_url: undefined,
    jwt_secret: 'a secret of the fuzzer, longer than 32 bytes',
    cors_origins: [],
    trust_proxy: [],
    rate_limit_max: 1_000_000_000,
    rate_limit_organization_max: 1_000_000_000,
    password_cost: { memory: 8, passes: 1 },
    database: { strict_locks: true }
  },
  pino({ level: 'silent' })
)
await app.ready()

const create = async (name: string) =>
  (
    await createOrganization(app.services, name, {
      username: `${name}-admin`,
      email: `${name}-admin@example.com`,
      password: 'a quiet harbor 47'
    })
  ).id
const [ours, theirs] = [await create('ours'), await create('theirs')]
const findings = new Findings()
const run = new Run(app, document, findings, Number(options.seed), {
  actors: [
    new Actor(app, 'admin', ours, 'admin'),
    new Actor(app, 'user', ours, 'user'),
    new Actor(app, 'viewer', ours, 'viewer')
  ],
  stranger: new Actor(app, 'stranger', theirs, 'admin')
})
const started = performance.now()
let calls = 0
try {
  await run.prepare()
  calls = await run.make(Number(options.calls))
} finally {
  await app.close()
  await admin.unsafe(`drop database test_fuzz_${process.pid} with (force)`)
  await admin.end()
  await cluster.stop()
}

findings.print()
const seconds = Math.round((performance.now() - started) / 1000)
const statuses = [...run.statuses].toSorted(([a], [b]) => a - b)
console.log(`\nAnswers: ${statuses.map(pair => pair.join(' × ')).join(', ')}`)
console.log(`${calls} calls with seed ${options.seed} in ${seconds} s: ${findings.size} findings`)
process.exit(findings.size === 0 ? 0 : 1)

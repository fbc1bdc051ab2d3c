// The process as its operator meets it: started, stopped, killed and misconfigured.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { databaseUrl, redisUrl } from './helper.ts'

type Env = Record<string, string>
const clean = { PATH: process.env.PATH ?? '', HOST: '127.0.0.1', PORT: '0' }

/** A process of its own, until it listens or ends. `address` is undefined when it ended. */
async function start (t: Test, env: Env) {
  const child = spawn(process.execPath, ['src/main.ts'], { env: { ...clean, ...env } })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', data => { output += String(data) })
  const ended = new Promise<number | null>(resolve => { child.on('exit', resolve) })
  t.teardown(async () => { child.kill('SIGKILL'); await ended })
  const listening = (async () => {
    while (child.exitCode === null) {
      const address = /SmartX CRM API +(\S+)[^]*curl.*\n/.exec(output)?.[1]
      if (address) return address
      await sleep(20)
    }
    return undefined
  })()
  const address = await Promise.race([listening, ended.then(() => undefined)])
  return { child, address: address!, ended, output: () => output, ask: async (request: string, body?: object, headers: Env = {}) => {
    const [method, url] = request.split(' ') as [string, string]
    return await fetch(address! + url, { method, headers: { ...body && { 'content-type': 'application/json' }, ...headers }, ...body && { body: JSON.stringify(body) } })
  } }
}
type Process = Awaited<ReturnType<typeof start>>
const logIn = async (process: Process, password: string) => {
  const { token } = await (await process.ask('POST /api/auth/login', { username: 'admin@example.com', password })).json() as { token: string }
  return { authorization: `Bearer ${token}` }
}
const folder = (t: Test) => {
  const name = mkdtempSync(path.join(tmpdir(), 'smartx-start-'))
  t.teardown(() => { rmSync(name, { recursive: true, force: true }) })
  return path.join(name, 'not yet there')
}

t.test('with nothing but a folder', async t => {
  const DATA_DIR = folder(t)
  const first = await start(t, { DATA_DIR })
  const password = /password: (\S+)/.exec(first.output())?.[1] ?? ''
  t.match(password, /^[\w-]{16}$/, 'the first start makes up a password and shows it')
  t.match(first.output(), `${first.address}/docs`)

  await t.test('the curl line logs in when it is pasted', async t => {
    const line = /^curl.*$/m.exec(first.output())![0]
    const shell = spawn('bash', ['-c', line])
    let answer = ''
    for await (const data of shell.stdout) answer += String(data)
    t.match(JSON.parse(answer), { token: /^ey/, user: { id: 1, username: 'admin@example.com', role: 'admin' } })
  })

  await t.test('a second start on the folder says who holds it', async t => {
    const second = await start(t, { DATA_DIR })
    t.equal(second.address, undefined)
    t.match(second.output(), new RegExp(`${first.child.pid}`))
    t.equal(second.output().trim().split('\n').length, 1, second.output())
  })

  t.equal(statSync(path.join(DATA_DIR, 'jwt-secret')).mode & 0o777, 0o600, 'the secret is for its owner only')

  await t.test('kill -9 during writes loses none that was answered', async t => {
    const headers = await logIn(first, password)
    const acknowledged: number[] = []
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let i = 0; ; i++) {
        const answer = await first.ask('POST /api/contacts', { first_name: `W${writer}`, last_name: `N${i}` }, headers)
        if (answer.status === 201) acknowledged.push((await answer.json() as { id: number }).id)
      }
    })
    await sleep(700)
    first.child.kill('SIGKILL')
    await Promise.allSettled(writers)
    t.ok(acknowledged.length > 50, `${acknowledged.length} were answered`)

    const started = performance.now()
    const again = await start(t, { DATA_DIR })
    t.ok(again.address, 'and it starts again')
    t.comment(`in ${Math.round(performance.now() - started)} ms`)
    t.notMatch(again.output(), 'password: ', 'without another admin')
    const there = await again.ask('GET /api/contacts?fields=id', undefined, { ...await logIn(again, password), accept: 'application/x-ndjson' })
    const ids = new Set((await there.text()).trim().split('\n').map(line => (JSON.parse(line) as { id: number }).id))
    t.same(acknowledged.filter(id => !ids.has(id)), [])
    t.equal((await again.ask('GET /api/contacts', undefined, headers)).status, 200, 'a token from before is still good')

    again.child.kill('SIGTERM')
    t.equal(await again.ended, 0, 'SIGTERM ends it well')
  })
})

t.test('with a database of the operator', async t => {
  const name = `start_${process.pid}`
  const admin = postgres(databaseUrl('postgres'), { max: 1 })
  await admin.unsafe(`create database ${name}`)
  t.teardown(async () => { await admin.unsafe(`drop database ${name} with (force)`); await admin.end() })
  const env = { DATABASE_URL: databaseUrl(name), JWT_SECRET: 'x'.repeat(32), ADMIN_PASSWORD: 'a quiet harbour 47' }

  await t.test('four processes that start at the same time make one organisation and one admin', async t => {
    const processes = await Promise.all(Array.from({ length: 4 }, () => start(t, { ...env, ...redisUrl && { REDIS_URL: redisUrl } })))
    for (const one of processes) t.ok(one.address, one.output())
    const headers = await logIn(processes[0]!, env.ADMIN_PASSWORD)
    t.equal((await processes[3]!.ask('GET /api/users', undefined, headers)).status, 200, 'and they know each other\'s tokens')
    const client = postgres(env.DATABASE_URL, { max: 1 })
    t.same((await client`select (select count(*)::int from organizations) as organizations, (select count(*)::int from users) as users`)[0], { organizations: 1, users: 1 })
    await client.end()
  })

  await t.test('SIGTERM under load breaks no request off', async t => {
    const one = await start(t, env)
    const headers = await logIn(one, env.ADMIN_PASSWORD)
    const outcomes: (number | 'refused' | 'broken')[] = []
    let stopping = false
    const clients = Array.from({ length: 10 }, async () => {
      for (;;) {
        try {
          outcomes.push((await one.ask('GET /api/contacts?count=exact', undefined, headers)).status)
        } catch (error) {
          outcomes.push(stopping ? 'refused' : 'broken')
          if (!/ECONNREFUSED|ECONNRESET|closed/.test(String((error as Error).cause ?? error))) outcomes.push(`broken: ${String((error as Error).cause ?? error)}` as 'broken')
          return
        }
      }
    })
    await sleep(400)
    stopping = true
    one.child.kill('SIGTERM')
    await Promise.all(clients)
    t.equal(await one.ended, 0)
    t.same([...new Set(outcomes)].filter(outcome => outcome !== 200 && outcome !== 'refused'), [])
  })
})

t.test('a setting that makes no sense stops the start with one line that names it', async t => {
  const url = 'postgres://localhost/x'
  for (const [name, env] of [
    ['PORT', { PORT: 'http' }], ['PORT', { PORT: '70000' }], ['JWT_SECRET', { DATABASE_URL: url }], ['JWT_SECRET', { JWT_SECRET: 'short' }], ['DATABASE_URL', { DATABASE_URL: 'mysql://x' }], ['REDIS_URL', { REDIS_URL: 'localhost' }],
    ['CORS_ORIGINS', { CORS_ORIGINS: '*' }], ['CORS_ORIGINS', { CORS_ORIGINS: 'https://a.example.com/path' }], ['TRUST_PROXY', { TRUST_PROXY: 'true' }], ['RATE_LIMIT_MAX', { RATE_LIMIT_MAX: '0' }], ['LOG_LEVEL', { LOG_LEVEL: 'loud' }], ['ADMIN_PASSWORD', { ADMIN_PASSWORD: 'short' }]
  ] as [string, Env][]) {
    const refused = await start(t, env)
    t.equal(await refused.ended, 1, JSON.stringify(env))
    t.match(refused.output().trim(), new RegExp(`^${name} [^\n]+$`))
    t.notMatch(refused.output(), /'?short'?$|at .*\.ts/)
  }
})

t.test('.env.example names every setting and no other', t => {
  const named = [...readFileSync('.env.example', 'utf8').matchAll(/^#? ?([A-Z_]+)=/gm)].map(([, name]) => name!)
  const read = [...readFileSync('src/config.ts', 'utf8').matchAll(/(?:env\.|env, ')([A-Z_]+)/g)].map(([, name]) => name!)
  t.same([...new Set(named)].filter(name => name !== 'POSTGRES_PASSWORD').toSorted(), [...new Set(read)].toSorted())
  t.end()
})

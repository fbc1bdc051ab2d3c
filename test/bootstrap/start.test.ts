import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import t from 'tap'
import { databaseUrl, redisUrl, settingsOf } from '../support/app.ts'
import { type Env, start, run, folder } from '../support/process.ts'

type Process = Awaited<ReturnType<typeof start>>
const script = async (name: string, args: string[], env: Env) =>
  await run(process.execPath, [`scripts/${name}.ts`, ...args], { env })
const curlLine = (process: Process) => /^curl.*$/m.exec(process.output())![0]
const passwordIn = (output: string) =>
  /password:? (\S+)   \(shown only now\)/.exec(output)?.[1] ?? ''
const logIn = async (process: Process, password: string) => {
  const { token } = (await (
    await process.send('POST /api/auth/login', { username: 'admin@example.com', password })
  ).json()) as { token: string }
  return { authorization: `Bearer ${token}` }
}

t.test('with only a data folder', async t => {
  const DATA_DIR = folder(t)

  await t.test('a port in use stops the first start before an admin is created', async t => {
    const holder = createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    const { port } = holder.address() as AddressInfo
    const refused = await start(t, { DATA_DIR, PORT: String(port) })
    t.equal(await refused.ended, 1)
    t.equal(
      refused.output(),
      `Port ${port} of 127.0.0.1 is in use: set PORT to another one, or to 0 for any\n`
    )
    t.notOk(existsSync(path.join(DATA_DIR, 'postgres/postmaster.pid')), 'Postgres has stopped')
    holder.close()
  })

  const first = await start(t, { DATA_DIR })
  let password = passwordIn(first.output())
  t.match(password, /^[\w-]{16}$/, 'the first start generates a password and prints it')
  t.match(first.output(), `${first.address}/docs`)

  await t.test('the printed curl command logs in', async t => {
    t.match(JSON.parse((await run('bash', ['--norc', '-c', curlLine(first)])).output), {
      token: /^ey/,
      user: { id: 1, username: 'admin@example.com', role: 'admin' }
    })
  })

  await t.test('a second start on the same folder names the process that uses it', async t => {
    const second = await start(t, { DATA_DIR })
    t.equal(second.address, undefined)
    t.match(second.output(), new RegExp(`${first.child.pid}`))
    t.equal(second.output().trim().split('\n').length, 1, second.output())
  })

  await t.test('a lost password can be reset while the server runs', async t => {
    const before = await logIn(first, password)
    const guesses = await Promise.all(
      Array.from({ length: 30 }, () =>
        first.send('POST /api/auth/login', {
          username: 'admin@example.com',
          password: 'was it this one?'
        })
      )
    )
    t.ok(
      guesses.some(({ status }) => status === 429),
      'after so many attempts that logins are throttled'
    )
    const [unknown, wrong, changed] = await Promise.all(
      [['nobody@example.com'], [], ['ADMIN@example.com']].map(args =>
        script('password', args, { DATA_DIR })
      )
    )
    t.same(unknown, {
      code: 1,
      output: `No active user nobody@example.com in ${DATA_DIR}\n`
    })
    t.match(wrong, { code: 1, output: 'Usage: npm run password -- <username or email> ' })
    t.match(changed, { code: 0, output: /^admin@example.com .*\n.* within five seconds\.\n$/ })
    t.equal(
      (await first.send('POST /api/auth/login', { username: 'admin@example.com', password }))
        .status,
      401,
      'the old password is refused'
    )
    password = passwordIn(changed!.output)
    t.match(await logIn(first, password), { authorization: /ey/ }, 'the new password is accepted')
    const deadline = performance.now() + 6_000
    const isIn = async () =>
      (await first.send('GET /api/contacts', undefined, before)).status === 200
    while (performance.now() < deadline && (await isIn())) await sleep(100)
    t.notOk(await isIn(), 'sessions of the old password have ended')
  })

  await t.test('demo data can be created while the server runs', async t => {
    const [seeded, help, unknown] = await Promise.all(
      [['--contacts', '20'], ['--help'], ['--people', '3']].map(args =>
        script('seed', args, { DATA_DIR })
      )
    )
    t.match(seeded, { code: 0, output: `Written to ${DATA_DIR}\n` })
    const name = /: (\S+\.\S+), \S+, \S+\n/.exec(seeded!.output)?.[1]
    const login = await first.send('POST /api/auth/login', {
      username: name,
      password: passwordIn(seeded!.output)
    })
    t.equal(login.status, 200, `${name} logs in with the printed password`)
    t.match(help, { code: 0, output: /^Usage: [^]*--contacts[^]*--seed/ })
    t.same(unknown, { code: 1, output: "Unknown option '--people': see npm run seed -- --help\n" })
  })

  t.equal(
    statSync(path.join(DATA_DIR, 'jwt-secret')).mode & 0o777,
    0o600,
    'only its owner can read the secret'
  )

  await t.test('kill -9 during writes loses no acknowledged write', async t => {
    const headers = await logIn(first, password)
    const acknowledged: number[] = []
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let i = 0; ; i++) {
        const answer = await first.send(
          'POST /api/contacts',
          { first_name: `W${writer}`, last_name: `N${i}` },
          headers
        )
        if (answer.status === 201) acknowledged.push(((await answer.json()) as { id: number }).id)
      }
    })
    for (let i = 0; i < 200 && acknowledged.length <= 50; i++) await sleep(100)
    first.child.kill('SIGKILL')
    await Promise.allSettled(writers)
    t.ok(acknowledged.length > 50, `${acknowledged.length} writes were acknowledged`)

    const started = performance.now()
    const again = await start(t, { DATA_DIR, ADMIN_PASSWORD: 'not the one it has' })
    t.ok(again.address, 'it starts again')
    t.comment(`in ${Math.round(performance.now() - started)} ms`)
    t.notMatch(again.output(), 'password: ', 'without another admin')
    t.notMatch(curlLine(again), 'ADMIN_PASSWORD', 'whose password is unknown')
    t.match(
      (await run('bash', ['--norc', '-c', curlLine(again)], { input: `${password}\n` })).output,
      '"token":"ey',
      'the command prompts for it'
    )
    const there = await again.send('GET /api/contacts?fields=id', undefined, {
      ...(await logIn(again, password)),
      accept: 'application/x-ndjson'
    })
    const ids = new Set(
      (await there.text())
        .trim()
        .split('\n')
        .map(line => (JSON.parse(line) as { id: number }).id)
    )
    t.same(
      acknowledged.filter(id => !ids.has(id)),
      []
    )
    t.equal(
      (await again.send('GET /api/contacts', undefined, headers)).status,
      200,
      'an older token is still valid'
    )

    again.child.kill('SIGTERM')
    t.equal(await again.ended, 0, 'SIGTERM exits with 0')
  })
})

t.test('with a given database', async t => {
  const name = `start_${process.pid}`
  const admin = postgres(databaseUrl('postgres'), { max: 1 })
  await admin.unsafe(`create database ${name}`)
  t.teardown(async () => {
    await admin.unsafe(`drop database ${name} with (force)`)
    await admin.end()
  })
  const env = {
    ...settingsOf(databaseUrl(name)),
    ADMIN_PASSWORD: 'a quiet harbour 47'
  }

  await t.test(
    'four processes that start at the same time create one organization and one admin',
    async t => {
      const processes = await Promise.all(
        Array.from({ length: 4 }, () =>
          start(t, { ...env, ...(redisUrl && { REDIS_URL: redisUrl }) })
        )
      )
      for (const one of processes) t.ok(one.address, one.output())
      const headers = await logIn(processes[0]!, env.ADMIN_PASSWORD)
      t.equal(
        (await processes[3]!.send('GET /api/users', undefined, headers)).status,
        200,
        'tokens of one process are valid for the others'
      )
      const client = postgres(env.DATABASE_MIGRATION_URL, { max: 1 })
      t.same(
        (
          await client`select (select count(*)::int from organizations)
            as organizations, (select count(*)::int from users) as users`
        )[0],
        { organizations: 1, users: 1 }
      )
      await client.end()
    }
  )

  await t.test('SIGTERM under load aborts no request', async t => {
    const one = await start(t, env)
    const headers = await logIn(one, env.ADMIN_PASSWORD)
    const outcomes: (number | 'refused' | 'broken')[] = []
    let stopping = false
    const clients = Array.from({ length: 10 }, async () => {
      for (;;) {
        try {
          outcomes.push(
            (await one.send('GET /api/contacts?count=exact', undefined, headers)).status
          )
        } catch (error) {
          outcomes.push(stopping ? 'refused' : 'broken')
          if (!/ECONNREFUSED|ECONNRESET|closed/.test(String((error as Error).cause ?? error)))
            outcomes.push(`broken: ${String((error as Error).cause ?? error)}` as 'broken')
          return
        }
      }
    })
    await sleep(400)
    stopping = true
    one.child.kill('SIGTERM')
    await Promise.all(clients)
    t.equal(await one.ended, 0)
    t.same(
      [...new Set(outcomes)].filter(outcome => outcome !== 200 && outcome !== 'refused'),
      []
    )
  })
})

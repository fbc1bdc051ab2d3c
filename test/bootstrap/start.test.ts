// The process as its operator meets it: started, stopped, killed and misconfigured.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { configFrom } from '../../src/config.ts'
import { databaseUrl, redisUrl } from '../support/app.ts'

type Env = Record<string, string>
const clean = { PATH: process.env.PATH ?? '', HOST: '127.0.0.1', PORT: '0' }

/** A process of its own, until it listens or ends. `address` is undefined when it ended. */
async function start(t: Test, env: Env) {
  const child = spawn(process.execPath, ['src/main.ts'], { env: { ...clean, ...env } })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', data => {
      output += String(data)
    })
  const ended = new Promise<number | null>(resolve => {
    child.on('close', resolve)
  }) // with all of its output
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const address = await (async () => {
    while (child.exitCode === null && child.signalCode === null) {
      const address = /SmartX CRM API +(\S+)[^]*curl.*\n/.exec(output)?.[1]
      if (address) return address
      await sleep(20)
    }
    await ended
    return undefined
  })()
  return {
    child,
    address: address!,
    ended,
    output: () => output,
    ask: async (request: string, body?: object, headers: Env = {}) => {
      const [method, url] = request.split(' ') as [string, string]
      return await fetch(address! + url, {
        method,
        headers: { ...(body && { 'content-type': 'application/json' }), ...headers },
        ...(body && { body: JSON.stringify(body) })
      })
    }
  }
}
type Process = Awaited<ReturnType<typeof start>>
/** A command to its end. */
const run = (
  command: string,
  args: string[],
  { env = {}, cwd = '.', input = '' }: { env?: Env; cwd?: string; input?: string } = {}
) =>
  new Promise<{ code: unknown; output: string }>(resolve => {
    const child = execFile(
      command,
      args,
      { cwd, env: { ...clean, ...env } },
      (error, stdout, stderr) => {
        resolve({ code: error?.code ?? 0, output: stdout + stderr })
      }
    )
    child.stdin?.end(input)
  })
const script = async (name: string, args: string[], env: Env) =>
  await run(process.execPath, [`scripts/${name}.ts`, ...args], { env })
const curlLine = (process: Process) => /^curl.*$/m.exec(process.output())![0]
const passwordIn = (output: string) =>
  /password:? (\S+)   \(shown only now\)/.exec(output)?.[1] ?? ''
const logIn = async (process: Process, password: string) => {
  const { token } = (await (
    await process.ask('POST /api/auth/login', { username: 'admin@example.com', password })
  ).json()) as { token: string }
  return { authorization: `Bearer ${token}` }
}
const folder = (t: Test) => {
  const name = mkdtempSync(path.join(tmpdir(), 'smartx-start-'))
  t.teardown(() => {
    rmSync(name, { recursive: true, force: true })
  })
  return path.join(name, 'not yet there')
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
  t.match(password, /^[\w-]{16}$/, 'the first start makes up a password and shows it')
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
        first.ask('POST /api/auth/login', {
          username: 'admin@example.com',
          password: 'was it this one?'
        })
      )
    )
    t.ok(
      guesses.some(({ status }) => status === 429),
      'after so many attempts that no more are taken'
    )
    const [unknown, wrong, changed] = await Promise.all(
      [['nobody@example.com'], [], ['ADMIN@example.com']].map(args =>
        script('password', args, { DATA_DIR })
      )
    )
    t.same(unknown, {
      code: 1,
      output: `There is no active user nobody@example.com in ${DATA_DIR}\n`
    })
    t.same(wrong, { code: 1, output: 'Usage: npm run password -- <user name or e-mail>\n' })
    t.match(changed, { code: 0, output: /^admin@example.com .*\n.* within five seconds\.\n$/ })
    t.equal(
      (await first.ask('POST /api/auth/login', { username: 'admin@example.com', password })).status,
      401,
      'the old one is no good'
    )
    password = passwordIn(changed!.output)
    t.match(await logIn(first, password), { authorization: /ey/ }, 'the new one is')
    const deadline = performance.now() + 6_000
    const isIn = async () =>
      (await first.ask('GET /api/contacts', undefined, before)).status === 200
    while (performance.now() < deadline && (await isIn())) await sleep(100)
    t.notOk(await isIn(), 'who was logged in with the old one no longer is')
  })

  await t.test('demo data can be created while the server runs', async t => {
    const [seeded, help, unknown] = await Promise.all(
      [['--contacts', '20'], ['--help'], ['--people', '3']].map(args =>
        script('seed', args, { DATA_DIR })
      )
    )
    t.match(seeded, { code: 0, output: `Written to ${DATA_DIR}\n` })
    const name = /: (\S+\.\S+), \S+, \S+\n/.exec(seeded!.output)?.[1]
    const login = await first.ask('POST /api/auth/login', {
      username: name,
      password: passwordIn(seeded!.output)
    })
    t.equal(login.status, 200, `${name} logs in with the password that was shown`)
    t.match(help, { code: 0, output: /^Usage: [^]*--contacts[^]*--seed/ })
    t.same(unknown, { code: 1, output: "Unknown option '--people': see npm run seed -- --help\n" })
  })

  t.equal(
    statSync(path.join(DATA_DIR, 'jwt-secret')).mode & 0o777,
    0o600,
    'the secret is for its owner only'
  )

  await t.test('kill -9 during writes loses no acknowledged write', async t => {
    const headers = await logIn(first, password)
    const acknowledged: number[] = []
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let i = 0; ; i++) {
        const answer = await first.ask(
          'POST /api/contacts',
          { first_name: `W${writer}`, last_name: `N${i}` },
          headers
        )
        if (answer.status === 201) acknowledged.push(((await answer.json()) as { id: number }).id)
      }
    })
    await sleep(700)
    first.child.kill('SIGKILL')
    await Promise.allSettled(writers)
    t.ok(acknowledged.length > 50, `${acknowledged.length} were answered`)

    const started = performance.now()
    const again = await start(t, { DATA_DIR, ADMIN_PASSWORD: 'not the one it has' })
    t.ok(again.address, 'and it starts again')
    t.comment(`in ${Math.round(performance.now() - started)} ms`)
    t.notMatch(again.output(), 'password: ', 'without another admin')
    t.notMatch(curlLine(again), 'ADMIN_PASSWORD', 'whose password may be another one')
    t.match(
      (await run('bash', ['--norc', '-c', curlLine(again)], { input: `${password}\n` })).output,
      '"token":"ey',
      'and is asked for'
    )
    const there = await again.ask('GET /api/contacts?fields=id', undefined, {
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
      (await again.ask('GET /api/contacts', undefined, headers)).status,
      200,
      'a token from before is still good'
    )

    again.child.kill('SIGTERM')
    t.equal(await again.ended, 0, 'SIGTERM ends it well')
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
    DATABASE_URL: databaseUrl(name),
    JWT_SECRET: 'x'.repeat(32),
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
        (await processes[3]!.ask('GET /api/users', undefined, headers)).status,
        200,
        "and they know each other's tokens"
      )
      const client = postgres(env.DATABASE_URL, { max: 1 })
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
          outcomes.push((await one.ask('GET /api/contacts?count=exact', undefined, headers)).status)
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

t.test('an invalid setting is named', t => {
  const url = 'postgres://localhost/x'
  for (const [name, env] of [
    ['PORT', { PORT: 'http' }],
    ['PORT', { PORT: '70000' }],
    ['JWT_SECRET', { DATABASE_URL: url }],
    ['JWT_SECRET', { JWT_SECRET: 'short' }],
    ['DATABASE_URL', { DATABASE_URL: 'mysql://x' }],
    ['REDIS_URL', { REDIS_URL: 'localhost' }],
    ['CORS_ORIGINS', { CORS_ORIGINS: '*' }],
    ['CORS_ORIGINS', { CORS_ORIGINS: 'https://a.example.com/path' }],
    ['TRUST_PROXY', { TRUST_PROXY: 'true' }],
    ['RATE_LIMIT_MAX', { RATE_LIMIT_MAX: '0' }],
    ['LOG_LEVEL', { LOG_LEVEL: 'loud' }],
    ['ADMIN_PASSWORD', { ADMIN_PASSWORD: 'short' }]
  ] as [string, Env][]) {
    t.throws(
      () => configFrom(env),
      { message: new RegExp(`^${name} (?!.*short)[^\n]+$`) },
      JSON.stringify(env)
    )
  }
  t.end()
})

t.test('an invalid setting stops the start with one line', async t => {
  const refused = await Promise.all(
    [{ PORT: 'http' }, { JWT_SECRET: 'short' }].map(env => start(t, env as Env))
  )
  t.same(
    refused.map(({ child }) => child.exitCode),
    [1, 1]
  )
  t.same(
    refused.map(({ output }) => output()),
    [
      'PORT must be a whole number from 0 to 65535, and is "http"\n',
      'JWT_SECRET must have at least 32 bytes, and has 5\n'
    ]
  )
})

t.test('an unusable Postgres is named without its password', async t => {
  const refusal = async (DATABASE_URL: string) => {
    const refused = await start(t, { DATABASE_URL, JWT_SECRET: 'x'.repeat(32) })
    t.equal(await refused.ended, 1)
    return refused.output()
  }
  t.equal(
    await refusal('postgres://smartx:hidden@127.0.0.1:1/x'),
    'Postgres at 127.0.0.1:1 does not answer: ECONNREFUSED\n'
  )
  t.match(
    await refusal(databaseUrl('nowhere')),
    /^Postgres at .*:5432 says: database "nowhere" does not exist\n$/
  )
})

t.test('the commands read .env', async t => {
  const cwd = path.dirname(folder(t))
  for (const name of ['package.json', 'src', 'scripts', 'drizzle', 'node_modules'])
    symlinkSync(path.resolve(name), path.join(cwd, name))
  writeFileSync(path.join(cwd, '.env'), 'LOG_LEVEL=loud\n')
  await Promise.all(
    [['start'], ['run', 'migrate'], ['run', 'seed'], ['run', 'password', '--', 'somebody']].map(
      async args => {
        t.match(
          await run('npm', args, { cwd }),
          { code: 1, output: /^LOG_LEVEL must be one of/m },
          args.join(' ')
        )
      }
    )
  )
})

t.test('.env.example names every setting and no other', t => {
  const named = [...readFileSync('.env.example', 'utf8').matchAll(/^#? ?([A-Z_]+)=/gm)].map(
    ([, name]) => name!
  )
  const read = [
    ...readFileSync('src/config.ts', 'utf8').matchAll(/(?:env\.|env, ')([A-Z_]+)/g)
  ].map(([, name]) => name!)
  t.same(
    [...new Set(named)].filter(name => name !== 'POSTGRES_PASSWORD').toSorted(),
    [...new Set(read)].toSorted()
  )
  t.end()
})

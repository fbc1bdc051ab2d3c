// Rate limits of several processes that share a Redis.
import { Redis } from 'ioredis'
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { findFreePort } from '../../scripts/free-port.ts'
import { RequestCounts } from '../../src/http/request-counts.ts'
import { SharedCounts } from '../../src/http/shared-counts.ts'
import {
  application,
  bearer,
  caller,
  database,
  organization,
  redisUrl,
  type App,
  type Call
} from '../support/app.ts'

const skip = redisUrl === undefined ? 'redis-server is not installed' : false

/** Waits until `check` holds. Returns the milliseconds that took. Errors: after five seconds. */
async function until(check: () => Promise<boolean>): Promise<number> {
  const startedAt = performance.now()
  while (performance.now() - startedAt < 5_000) {
    if (await check()) return performance.now() - startedAt
    await sleep(10)
  }
  throw new Error('it does not hold after five seconds')
}

/** A Redis server of this test alone, and a connection to control it. */
async function ownRedis(t: Test) {
  const port = await findFreePort()
  const run = () =>
    spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', ''], {
      stdio: 'ignore'
    })
  let server = run()
  const control = new Redis({ port, retryStrategy: () => 50 })
  control.on('error', () => {})
  t.teardown(() => {
    control.disconnect()
    server.kill('SIGCONT')
    server.kill('SIGKILL')
  })
  await control.ping()
  return {
    url: `redis://127.0.0.1:${port}`,
    control,
    kill: (signal: NodeJS.Signals) => server.kill(signal),
    restart: async () => {
      server = run()
      await control.ping()
    }
  }
}

/** Sends requests one after the other. Returns how many of them were not refused. */
async function admitted(calls: Call[], count: number): Promise<number> {
  let sum = 0
  for (let i = 0; i < count; i++) {
    const { statusCode } = await calls[i % calls.length]!('GET /api/auth/me')
    if (statusCode === 200) sum++
  }
  return sum
}

/** Sends a request every ten milliseconds until one is refused. Returns how many were not. */
async function admittedUntilRefused(call: Call): Promise<number> {
  let sum = 0
  await until(async () => {
    const { statusCode } = await call('GET /api/auth/me')
    if (statusCode === 200) sum++
    return statusCode === 429
  })
  return sum
}

const sumOf = async (redis: Redis, client: string) =>
  (await redis.hvals(`smartx:${client}`)).reduce((sum, count) => sum + Number(count), 0)
/** Requests that may be too many at most: those of one synchronization on a busy machine. */
const overshoot = 30

/** Counts as a process of its own: requests of a client in a window of so many milliseconds. */
function counter(t: Test) {
  const shared = new SharedCounts(redisUrl!)
  t.teardown(() => {
    shared.close()
  })
  const counts = new RequestCounts(shared)
  return (client: string, timeWindow = 60_000) => {
    let result = { current: 0, ttl: 0 }
    counts.incr(client, (_error, counted) => (result = counted), timeWindow, 1_000)
    return result
  }
}

t.test('with one Redis', { skip }, async t => {
  const redis = new Redis(redisUrl!)
  t.teardown(() => {
    redis.disconnect()
  })
  const database_url = await database(t)
  const start = async (config = {}) =>
    await application(t, { database_url, redis_url: redisUrl!, ...config })
  const both = async (config: object): Promise<[App, App]> => [
    await start(config),
    await start(config)
  ]

  await t.test('two processes share one limit', async t => {
    const [one, two] = await both({ rate_limit_max: 50 })
    const { admin, id } = await organization(one)
    const here = caller(one, bearer(admin.token))
    const there = caller(two, bearer(admin.token))
    const sum = await admitted([here, there], 40)
    t.equal(sum, 40)
    const rest = (await admittedUntilRefused(there)) + (await admittedUntilRefused(here))
    t.ok(sum + rest >= 50, `${sum + rest} of 50 requests were admitted`)
    t.ok(sum + rest <= 50 + overshoot, `${sum + rest} of 50 requests were admitted`)
    const key = `smartx:${id}/requests/user/${admin.user.id}`
    const ttl = await redis.pttl(key)
    t.ok(ttl > 0 && ttl <= 60_000, `the key expires in ${ttl} ms`)
  })

  await t.test('two processes share the limit of an organization', async t => {
    const [one, two] = await both({ rate_limit_organization_max: 50 })
    const { call, user, id } = await organization(one)
    const colleague = await user('user')
    const there = caller(two, bearer(colleague.token))
    t.equal(await admitted([call], 49), 49)
    await until(async () => (await sumOf(redis, `${id}/requests`)) === 50)
    const more = await admittedUntilRefused(there)
    t.ok(more <= overshoot, `${more} more were admitted`)
    t.match((await there('GET /api/auth/me')).headers, {
      'ratelimit-policy': '"organization";q=50;w=60'
    })
    t.equal((await call('GET /api/auth/me')).statusCode, 429)
    const other = await organization(two)
    t.equal((await other.call('GET /api/auth/me')).statusCode, 200, 'another one is not affected')
  })

  await t.test('two processes share the limit of a network', async t => {
    const [one, two] = await both({ rate_limit_max: 50 })
    const remoteAddress = `2001:db8:${process.pid.toString(16)}::1`
    const statusOf = async (app: App) =>
      (await app.inject({ url: '/api/problems', remoteAddress })).statusCode
    for (let i = 0; i < 50; i++) t.equal(await statusOf(one), 200)
    await until(async () => (await statusOf(two)) === 429)
  })

  await t.test('a client who was dropped from memory is counted on', async t => {
    const count = counter(t)
    const client = `test/${process.pid}/dropped`
    for (let i = 0; i < 20; i++) count(client)
    await until(async () => (await sumOf(redis, client)) === 20)
    for (let i = 0; i < 10_000; i++) count(`test/${process.pid}/${i}`)
    t.equal(count(client).current, 1, 'it begins again')
    await until(async () => (await sumOf(redis, client)) === 21)
    await sleep(50)
    t.equal(count(client).current, 22, 'until it is synchronized')
  })

  await t.test('the windows of all processes end when the first of them does', async t => {
    const client = `test/${process.pid}/window`
    const countLong = counter(t)
    const countShort = counter(t)
    countLong(client)
    await until(async () => (await redis.exists(`smartx:${client}`)) === 1)
    countShort(client, 1_000)
    await until(async () => countLong(client).ttl <= 1_000)
    await until(async () => countLong(client).current === 1)
    t.equal(await redis.exists(`smartx:${client}`), 0)
  })
})

t.test('Redis in trouble', { skip }, async t => {
  const redis = await ownRedis(t)
  const database_url = await database(t)
  const config = { database_url, redis_url: redis.url, rate_limit_max: 20 }
  const one = await application(t, config)
  const two = await application(t, config)
  /** A new user of an organization, as a caller of each process. */
  const newUser = async () => {
    const { admin, id } = await organization(one)
    const key = `${id}/requests/user/${admin.user.id}`
    return { here: caller(one, bearer(admin.token)), there: caller(two, bearer(admin.token)), key }
  }
  /** Asserts that a user has the whole limit in each process, and that nothing waits for Redis. */
  const limitsByItself = async (t: Test) => {
    const { here, there } = await newUser()
    const startedAt = performance.now()
    t.equal(await admitted([here], 25), 20, 'one process')
    t.equal(await admitted([there], 25), 20, 'the other process')
    const ms = performance.now() - startedAt
    t.ok(ms < 10_000, `50 requests took ${ms} ms; a wait for each would be a second`)
  }
  /** Asserts that what one process counts reaches the other. */
  const shares = async (t: Test) => {
    const { here, there, key } = await newUser()
    t.equal(await admitted([here], 1), 1)
    await until(async () => {
      await here('GET /api/auth/me')
      return (await sumOf(redis.control, key)) >= 20
    })
    const more = await admittedUntilRefused(there)
    t.ok(more < 20, `the other process admits ${more}`)
  }

  await t.test('Redis well: the processes share a limit', shares)

  await t.test('Redis poisoned: no request is refused because of it', async t => {
    const { here, there, key } = await newUser()
    for (const poison of [
      ['set', 'text'],
      ['lpush', 'a list'],
      ['hset', 'a', 'text', 'b', 'nan', 'c', '1e400']
    ] as const) {
      const [command, ...values] = poison
      await redis.control
        .multi([
          ['del', `smartx:${key}`],
          [command, `smartx:${key}`, ...values]
        ])
        .exec()
      t.equal(await admitted([here, there], 2), 2)
      await sleep(150)
      t.equal(await admitted([here, there], 2), 2, 'after a synchronization')
    }
    t.ok((await redis.control.pttl(`smartx:${key}`)) > 0, 'and what it was expires')
  })

  await t.test('Redis emptied: the counts of this process come back', async t => {
    const { here, key } = await newUser()
    t.equal(await admitted([here], 10), 10)
    await until(async () => (await sumOf(redis.control, key)) === 10)
    await redis.control.flushall()
    t.equal(await admitted([here], 1), 1)
    await until(async () => (await sumOf(redis.control, key)) === 11)
  })

  await t.test('Redis frozen: each process limits by itself and no request waits', async t => {
    redis.kill('SIGSTOP')
    await limitsByItself(t)
    redis.kill('SIGCONT')
    await shares(t)
  })

  await t.test('Redis gone: each process limits by itself and no request waits', async t => {
    redis.kill('SIGKILL')
    await limitsByItself(t)
    await redis.restart()
    await shares(t)
  })
})

import { Redis } from 'ioredis'
import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Cache, type Entry } from '../../../src/core/cache/cache.ts'
import { redisCache } from '../../../src/core/cache/redis.ts'
import { application, bearer, caller, database, organization, redisUrl } from '../../support/app.ts'

const entry = (body: string): Entry => ({ etag: '"1"', body })
const later = <T>() => {
  let resolve!: (value: T) => void
  return {
    promise: new Promise<T>(done => {
      resolve = done
    }),
    resolve
  }
}

t.test('in one process', async t => {
  await t.test('a slow reader cannot put an old value back after a write', async t => {
    const cache = new Cache()
    const slow = later<Entry>()
    const reading = cache.read('1/contact/1', () => slow.promise)
    await sleep(1)
    await cache.invalidate(['1/contact/1'])
    slow.resolve(entry('old'))
    t.equal((await reading).body, 'old', 'a reader from before the write may get the old entry')
    t.equal(cache.peek('1/contact/1'), undefined, 'it is not cached')
  })

  await t.test(
    'a reader that starts after a write does not join one that began before it',
    async t => {
      const cache = new Cache()
      const slow = later<Entry>()
      const before = cache.read('k', () => slow.promise)
      await sleep(1)
      await cache.invalidate(['k'])
      t.equal((await cache.read('k', async () => entry('new'))).body, 'new')
      slow.resolve(entry('old'))
      await before
      t.equal(cache.peek('k')?.body, 'new')
    }
  )

  await t.test('concurrent readers share one load', async t => {
    const cache = new Cache()
    let loads = 0
    const load = async () => {
      loads++
      await sleep(5)
      return entry('x')
    }
    await Promise.all(Array.from({ length: 50 }, () => cache.read('k', load)))
    t.equal(loads, 1)
  })

  await t.test('a failed load is not cached', async t => {
    const cache = new Cache()
    await t.rejects(
      cache.read('k', async () => {
        throw new Error('no')
      }),
      /no/
    )
    t.equal((await cache.read('k', async () => entry('x'))).body, 'x')
  })

  await t.test('its size is bounded', async t => {
    const cache = new Cache()
    for (let i = 0; i < 40; i++)
      await cache.read(`k${i}`, async () => entry('x'.repeat(1024 * 1024)))
    t.equal(cache.peek('k0'), undefined)
    t.ok(cache.peek('k39'))
  })
})

t.test('over HTTP', async t => {
  const app = await application(t)
  const { call } = await organization(app)
  const { id } = (await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })).json()
  await call(`GET /api/contacts/${id}`)

  await t.test('a second read does not query Postgres, and no-cache does', async t => {
    await app.services.database.pool`update contacts set last_name = 'in psql' where id = ${id}`
    t.equal((await call(`GET /api/contacts/${id}`)).json().last_name, 'B')
    t.equal(
      (await call(`GET /api/contacts/${id}`, undefined, { 'cache-control': 'no-cache' })).json()
        .last_name,
      'in psql'
    )
  })

  await t.test('under load, a read after an acknowledged write returns the write', async t => {
    let stale = 0
    for (let i = 0; i < 100; i++) {
      const readers = Array.from({ length: 5 }, () => call(`GET /api/contacts/${id}`))
      const { version } = (await call(`PATCH /api/contacts/${id}`, { last_name: `N${i}` })).json()
      const after = await Promise.all(
        Array.from({ length: 5 }, () => call(`GET /api/contacts/${id}`))
      )
      stale += after.filter(answer => answer.json().version < version).length
      await Promise.all(readers)
    }
    t.equal(stale, 0)
  })
})

t.test(
  'shared in Redis',
  { skip: redisUrl === undefined ? 'there is no redis-server here and no REDIS_URL' : false },
  async t => {
    const redis = new Redis(redisUrl!)
    t.teardown(() => {
      redis.disconnect()
    })
    const database_url = await database(t)
    const one = await application(t, { database_url, redis_url: redisUrl! })
    const two = await application(t, { database_url, redis_url: redisUrl! })
    const home = await organization(one)
    const here = home.call
    const there = caller(two, bearer(home.admin.token))
    const make = async () =>
      (await here('POST /api/contacts', { first_name: 'A', last_name: 'B' })).json() as {
        id: number
      }
    const key = (id: number) => `smartx:${home.id}/contact/${id}`
    const until = async (check: () => Promise<boolean>, most = 2_000) => {
      const started = performance.now()
      while (performance.now() - started < most) {
        if (await check()) return performance.now() - started
        await sleep(2)
      }
      throw new Error('nothing was stored')
    }
    await until(
      async () =>
        (await here('GET /readyz')).json().redis === 'ok' &&
        (await there('GET /readyz')).json().redis === 'ok'
    )

    await t.test('an entry of one process serves the other', async t => {
      const { id } = await make()
      await here(`GET /api/contacts/${id}`)
      await until(async () => (await redis.exists(key(id))) === 1)
      await two.services.database.pool`update contacts set last_name = 'in psql' where id = ${id}`
      t.equal((await there(`GET /api/contacts/${id}`)).json().last_name, 'B')
    })

    await t.test('a write is seen by the other process within milliseconds', async t => {
      const { id } = await make()
      await there(`GET /api/contacts/${id}`)
      await here(`PATCH /api/contacts/${id}`, { last_name: 'New' })
      t.equal(
        (await here(`GET /api/contacts/${id}`)).json().last_name,
        'New',
        'at once by the same process'
      )
      t.ok(
        (await until(
          async () => (await there(`GET /api/contacts/${id}`)).json().last_name === 'New'
        )) < 500
      )
    })

    await t.test('a logout is effective in the other process', async t => {
      const leaver = await home.user('user')
      const call = caller(two, bearer(leaver.token))
      t.equal((await call('GET /api/auth/me')).statusCode, 200)
      await leaver.call('POST /api/auth/logout')
      t.ok((await until(async () => (await call('GET /api/contacts')).statusCode === 401)) < 500)
    })

    await t.test('a slow reader of another process cannot fill after a write', async t => {
      const { id } = await make()
      await here(`PATCH /api/contacts/${id}`, { last_name: 'New' })
      t.equal(await redis.set(key(id), 'old', 'PX', 1000, 'NX'), null, 'the tombstone prevents it')
    })

    await t.test('a foreign value is a miss', async t => {
      const { id } = await make()
      const other = await make()
      await here(`GET /api/contacts/${other.id}`)
      await until(async () => (await redis.exists(key(other.id))) === 1)
      for (const poison of [
        '',
        'x',
        '{"id":1,"last_name":"poison"}',
        `${'A'.repeat(22)}"1"\n{"last_name":"poison"}`,
        (await redis.get(key(other.id)))!
      ]) {
        await redis.set(key(id), poison)
        t.match((await there(`GET /api/contacts/${id}`)).json(), { id, last_name: 'B' })
        await redis.publish('smartx:invalidated', `${home.id}/contact/${id}`)
        await sleep(20)
      }
      await redis.del(key(id))
      await redis.lpush(key(id), 'a list')
      t.match(
        (await there(`GET /api/contacts/${id}`)).json(),
        { id, last_name: 'B' },
        'a value of another type is a miss'
      )
    })

    await t.test('invalidations that Redis missed are sent when it is back', async t => {
      await until(
        async () =>
          (await here('GET /readyz')).json().redis === 'ok' &&
          (await there('GET /readyz')).json().redis === 'ok'
      )
      const { id } = await make()
      await there(`GET /api/contacts/${id}`)
      await until(async () => (await redis.exists(key(id))) === 1)
      await redis.call('CLIENT', 'PAUSE', '400', 'ALL') // nobody is answered
      await here(`PATCH /api/contacts/${id}`, { last_name: 'meanwhile' })
      t.equal((await here(`GET /api/contacts/${id}`)).json().last_name, 'meanwhile')
      t.ok(
        (await until(
          async () => (await there(`GET /api/contacts/${id}`)).json().last_name === 'meanwhile',
          5_000
        )) < 5_000
      )
    })

    await t.test('organizations and permissions do not mix', async t => {
      const { id } = await make()
      await here(`GET /api/contacts/${id}`)
      const other = await organization(two)
      t.equal((await other.call(`GET /api/contacts/${id}`)).statusCode, 404)
      await here(`GET /api/users/${home.admin.user.id}`)
      const viewer = await home.user('viewer')
      t.equal((await viewer.call(`GET /api/users/${home.admin.user.id}`)).statusCode, 403)
    })
  }
)

t.test('Redis in trouble is a miss and never an error', async t => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await new Promise(resolve => silent.once('listening', resolve))
  t.teardown(() => {
    silent.close()
  })
  const frozen = `redis://127.0.0.1:${(silent.address() as { port: number }).port}`

  for (const [what, redis_url] of Object.entries({
    'that is not there': 'redis://127.0.0.1:1',
    'that never answers': frozen,
    'with a name that does not exist': 'redis://nowhere.invalid:6379'
  })) {
    await t.test(`a Redis ${what}`, async t => {
      const app = await application(t, { redis_url })
      const { call } = await organization(app)
      const { id } = (await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })).json()
      for (let i = 0; i < 5; i++) {
        t.equal(
          (await call(`GET /api/contacts/${id}`, undefined, { 'cache-control': 'no-cache' }))
            .statusCode,
          200
        )
        t.equal((await call(`PATCH /api/contacts/${id}`, { last_name: `N${i}` })).statusCode, 200)
        t.equal((await call(`GET /api/contacts/${id}`)).json().last_name, `N${i}`)
      }
      const ready = await call('GET /readyz')
      t.match([ready.statusCode, ready.json()], [200, { status: 'degraded', redis: 'degraded' }])
    })
  }

  await t.test(
    'a Redis that freezes, fills up or dies',
    { skip: redisUrl === undefined ? 'redis-server is not installed' : false },
    async t => {
      const port = 20_000 + Math.floor(Math.random() * 20_000)
      const server = spawn(
        'redis-server',
        [
          '--port',
          String(port),
          '--bind',
          '127.0.0.1',
          '--save',
          '',
          '--maxmemory',
          '3mb',
          '--maxmemory-policy',
          'noeviction'
        ],
        { stdio: 'ignore' }
      )
      t.teardown(() => {
        server.kill('SIGCONT')
        server.kill('SIGKILL')
      })
      const control = new Redis({ port, retryStrategy: () => 50 })
      control.on('error', () => {})
      t.teardown(() => {
        control.disconnect()
      })
      await control.ping()

      const app = await application(t, { redis_url: `redis://127.0.0.1:${port}` })
      const { call, id: organization_id } = await organization(app)
      while ((await call('GET /readyz')).json().redis !== 'ok') await sleep(10)
      const { id } = (await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })).json()
      const works = async (t: Tap.Test, name: string) => {
        const started = performance.now()
        t.equal((await call(`PATCH /api/contacts/${id}`, { last_name: name })).statusCode, 200)
        t.equal((await call(`GET /api/contacts/${id}`)).json().last_name, name)
        t.ok(performance.now() - started < 1_500, 'without waiting for it')
      }
      await works(t, 'well')
      await control.call('CONFIG', 'SET', 'maxmemory', '1')
      await works(t, 'full')
      await control.call('CONFIG', 'SET', 'maxmemory', '100mb')
      server.kill('SIGSTOP')
      await works(t, 'frozen')
      await works(t, 'still frozen')
      server.kill('SIGCONT')
      const stored = async () => await control.get(`smartx:${organization_id}/contact/${id}`)
      for (let i = 0; i < 200 && (await stored()) === null; i++) await sleep(50)
      t.not(await stored(), null, 'it learns of the writes when it runs again')
      server.kill('SIGKILL')
      await works(t, 'dead')
    }
  )
})

t.test(
  'the shared tier alone',
  { skip: redisUrl === undefined ? 'redis-server is not installed' : false },
  async t => {
    await t.test('entries signed with another secret are misses', async t => {
      const shared = [
        redisCache(redisUrl!, 'one secret', () => {}),
        redisCache(redisUrl!, 'another secret', () => {})
      ] as const
      t.teardown(() => {
        for (const tier of shared) tier.close()
      })
      while (!shared.every(tier => tier.healthy())) await sleep(5)
      shared[0].fill('k/1', entry('x'))
      await sleep(30)
      t.match(await shared[0].get('k/1'), { body: 'x' })
      t.equal(await shared[1].get('k/1'), undefined)
    })
  }
)

declare namespace Tap {
  type Test = import('tap').Test
}

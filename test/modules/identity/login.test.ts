import { createHmac } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { countAttempt, verifying } from '../../../src/modules/identity/auth/throttle.ts'
import { application, caller, organization, password } from '../../support/app.ts'

const app = await application(t)
const anybody = caller(app)

t.test('login', async t => {
  const { admin, user, call } = await organization(app)

  await t.test('accepts the username or the email, regardless of case', async t => {
    for (const username of [
      admin.user.username,
      admin.user.username.toUpperCase(),
      `${admin.user.username}@example.com`
    ]) {
      const answer = await anybody('POST /api/auth/login', { username, password })
      t.match(
        [answer.statusCode, answer.headers['cache-control'], answer.json()],
        [
          200,
          'no-store',
          {
            expires_in: 900,
            user: { id: admin.user.id, username: admin.user.username, role: 'admin' }
          }
        ]
      )
    }
    t.match((await call('GET /api/auth/me')).json(), admin.user)
  })

  await t.test(
    'has the same response for an unknown user, a wrong password, and a disabled or deleted user',
    async t => {
      const disabled = await user('user')
      await call(`PATCH /api/users/${disabled.user.id}`, { status: 'disabled' })
      const deleted = await user('user')
      await call(`DELETE /api/users/${deleted.user.id}`)
      const answers = [
        ['nobody', password],
        [admin.user.username, 'wrong password'],
        [disabled.user.username, password],
        [deleted.user.username, password]
      ] as const
      const bodies = await Promise.all(
        answers.map(async ([username, password]) => {
          const answer = await anybody('POST /api/auth/login', { username, password })
          t.match([answer.statusCode, answer.headers['www-authenticate']], [401, /Bearer/])
          return answer.json().detail as string
        })
      )
      t.equal(new Set(bodies).size, 1)
    }
  )

  const guess = async (
    username: string,
    password = 'wrong password',
    remoteAddress = '127.0.0.1'
  ) =>
    (
      await app.inject({
        method: 'POST',
        url: '/api/auth/login',
        payload: { username, password },
        remoteAddress
      })
    ).statusCode
  const windowsOver = async () =>
    await app.services.database
      .pool`update login_attempts set window_ends_at = now() - interval '1 second'`

  await t.test('after twenty failures, an account waits and others do not', async t => {
    const victim = await user('user')
    for (let i = 0; i < 20; i++) t.equal(await guess(victim.user.username.toUpperCase()), 401)
    const waiting = await anybody('POST /api/auth/login', {
      username: victim.user.username,
      password
    })
    t.equal(waiting.statusCode, 429)
    t.ok(Number(waiting.headers['retry-after']) > 800)
    t.equal(await guess(`${victim.user.username}@example.com`, password), 429, 'by the email, too')
    t.equal(await guess(admin.user.username, password), 200)
    await windowsOver()
    t.equal(await guess(victim.user.username, password), 200, 'until the window has passed')
  })

  await t.test('strangers do not lock out an account that logs in elsewhere', async t => {
    const owner = await user('user')
    for (let i = 0; i < 21; i++) await guess(owner.user.username, undefined, '10.2.0.1')
    t.equal(await guess(owner.user.username, password, '10.2.0.1'), 429)
    t.equal(await guess(owner.user.username, password, '10.2.0.2'), 200)
    await app.services.database.pool`insert into login_attempts
        values ('username', ${`user:${owner.user.id}`}, 100, now() + interval '5 minutes')`
    t.equal(await guess(owner.user.username, password, '10.2.0.3'), 429, 'from a new address')
    t.equal(await guess(owner.user.username, password, '10.2.0.2'), 200, 'from a known one')
  })

  await t.test('no limit tells a known account from one that does not exist', async t => {
    const owner = await user('user')
    const { username, id } = owner.user
    const shared = '10.2.4.1'
    t.equal(await guess(username, password, shared), 200)
    const pool = app.services.database.pool
    const hashed = createHmac('sha256', app.services.keyFor('login attempts'))
    for (const full of [
      [
        ['username', `user:${id}`],
        ['username', `name:${hashed.update('ghost').digest('hex')}`]
      ],
      [['address', shared]]
    ]) {
      for (const [kind, subject] of full)
        await pool`insert into login_attempts
          values (${kind!}, ${subject!}, 1000, now() + interval '5 minutes')
          on conflict (kind, subject) do update set attempts = 1000`
      const [known, invented] = await Promise.all(
        [username, 'ghost'].map(async username => {
          const { statusCode, headers, json } = await app.inject({
            method: 'POST',
            url: '/api/auth/login',
            payload: { username, password: 'wrong password' },
            remoteAddress: shared
          })
          const { request_id: _, ...body } = json()
          return [statusCode, Number(headers['retry-after']) > 200, body]
        })
      )
      t.match(known, [429, true, { code: 'too_many_requests' }])
      t.same(known, invented, `the ${full[0]![0]} is full`)
      t.equal(await guess(username, password, shared), 200, 'and the owner is let in')
    }
    t.equal(await guess('ghost', undefined, shared), 429, 'which makes no room for others')
    await windowsOver()
  })

  await t.test('an IPv6 /64 counts as one address', async t => {
    const owner = await user('user')
    for (let i = 0; i < 20; i++)
      t.equal(await guess(owner.user.username, undefined, `2001:db8:7:7::${i}`), 401)
    t.equal(await guess(owner.user.username, password, '2001:db8:7:7:8::1'), 429)
    t.equal(await guess(owner.user.username, password, '2001:db8:7:8::1'), 200)
    for (let i = 0; i < 20; i++)
      t.equal(await guess(owner.user.username, undefined, '::ffff:10.2.5.1'), 401)
    t.equal(await guess(owner.user.username, password, '10.2.5.1'), 429, 'IPv4 mapped to IPv6')
  })

  await t.test('a clock that is set back does not prolong a wait', async t => {
    const owner = await user('user')
    await app.services.database.pool`insert into login_attempts values
      ('pair', ${`user:${owner.user.id} 10.2.6.1`}, 20, now() + interval '1 day'),
      ('username', ${`user:${owner.user.id}`}, 100, now() + interval '1 day'),
      ('address', '10.2.6.1', 1000, now() + interval '1 day')`
    t.equal(await guess(owner.user.username, undefined, '10.2.6.1'), 401)
    for (let i = 0; i < 19; i++) await guess(owner.user.username, undefined, '10.2.6.1')
    t.equal(await guess(owner.user.username, password, '10.2.6.1'), 429, 'a new window starts')
    await windowsOver()
  })

  await t.test('an admin lifts the limit with a new password', async t => {
    const owner = await user('user')
    for (let i = 0; i < 21; i++) await guess(owner.user.username, undefined, '10.2.1.1')
    const changed = { password: 'another harbour 48' }
    await call(`PATCH /api/users/${owner.user.id}`, changed)
    t.equal(await guess(owner.user.username, changed.password, '10.2.1.1'), 200)
  })

  await t.test('invented names do not lock out the accounts behind one proxy', async t => {
    const owner = await user('user')
    await Promise.all(
      Array.from({ length: 101 }, async (_, i) => await guess(`no-${i}`, undefined, '10.2.2.1'))
    )
    t.equal(await guess(owner.user.username, password, '10.2.2.1'), 200)
  })

  await t.test('concurrent guesses are counted before they are checked', async t => {
    const victim = await user('user')
    const { verify } = app.services.passwords
    let verified = 0
    app.services.passwords.verify = async (...given) => {
      verified++
      return await verify(...given)
    }
    t.teardown(() => {
      app.services.passwords.verify = verify
    })
    const guesses = await Promise.all(
      Array.from({ length: 60 }, async () => await guess(victim.user.username))
    )
    t.equal(guesses.filter(status => status === 429).length, 40, 'for an account')
    await app.services.database.pool`insert into login_attempts
        values ('address', '10.0.0.1', 990, now() + interval '5 minutes')`
    const sprayed = await Promise.all(
      Array.from({ length: 30 }, async (_, i) => await guess(`nobody-${i}`, undefined, '10.0.0.1'))
    )
    t.equal(sprayed.filter(status => status === 429).length, 20, 'for an address')
    t.equal(verified, 30)
    await windowsOver()
  })

  await t.test('all spellings of one account share a counter', async t => {
    const name = `admin-i-${admin.user.id}@example.com`
    await call('POST /api/users', { username: name, email: name, password })
    const spellings = [name, name.toUpperCase(), name.replaceAll('i', 'İ')]
    const folded = await app.services.database.pool<
      { name: string }[]
    >`select name from unnest(${spellings}::text[]) name where lower(name) = ${name}`
    t.match(folded, [{ name }, { name: name.toUpperCase() }])
    const guesses = await Promise.all(
      Array.from({ length: 30 }, async (_, i) => await guess(folded[i % folded.length]!.name))
    )
    t.equal(guesses.filter(status => status === 429).length, 10)
    t.equal(await guess(`user:${admin.user.id}`), 401)
    t.equal(
      await guess(admin.user.username, password),
      200,
      'a username that looks like a counter key is not one'
    )
    const strange = await Promise.all(
      Array.from(
        { length: 30 },
        async (_, i) => await guess(i % 2 ? 'Nobody At All' : 'NOBODY at all')
      )
    )
    t.equal(strange.filter(status => status === 429).length, 10, 'also without an account')
    await windowsOver()
  })

  await t.test('an attempt is taken back from the window that has counted it', async t => {
    const { services } = app
    const one = await user('user')
    const subject = `user:${one.user.id} 10.0.2.1`
    const attempts = async () => {
      const [row] = await services.database.pool<[{ attempts: number }]>`
        select attempts from login_attempts where kind = 'pair' and subject = ${subject}`
      return row.attempts
    }
    const busy = async () => await Promise.reject(new Error('busy'))
    const attempt = await countAttempt(services, one.user.id, '10.0.2.1')
    t.equal(await attempts(), 1)
    await t.rejects(verifying(services, attempt, busy), /busy/)
    t.equal(await attempts(), 0, 'what could not be verified')
    const slow = await countAttempt(services, one.user.id, '10.0.2.1')
    await services.database.pool`update login_attempts
      set attempts = 7, window_ends_at = now() + interval '10 minutes' where subject = ${subject}`
    await t.rejects(verifying(services, slow, busy))
    t.equal(await attempts(), 7, 'not from the next window')
  })

  await t.test('an address that waits does not make accounts wait', async t => {
    const victim = await user('user')
    await app.services.database.pool`insert into login_attempts
        values ('address', '10.9.8.7', 1000, now() + interval '5 minutes')`
    for (let i = 0; i < 25; i++)
      t.equal(await guess(victim.user.username, password, '10.9.8.7'), 429)
    t.equal(await guess(victim.user.username, password), 200)
  })

  await t.test('a correct password does not count as an attempt', async t => {
    const one = await user('user')
    for (let i = 0; i < 110; i++) t.equal(await guess(one.user.username, password, '10.0.0.2'), 200)
    for (let i = 0; i < 19; i++) t.equal(await guess(one.user.username, undefined, '10.0.0.2'), 401)
    t.equal(await guess(one.user.username, password, '10.0.0.2'), 200)
    const [{ attempts }] = await app.services.database.pool<
      [{ attempts: number }]
    >`select attempts from login_attempts where kind = 'address' and subject = '10.0.0.2'`
    t.equal(attempts, 19, 'only the wrong ones use up the address')
    t.equal(await guess(one.user.username, undefined, '10.0.0.2'), 401, 'the account starts again')
    await Promise.all(
      Array.from(
        { length: 60 },
        async (_, i) =>
          await guess(
            i % 2 ? one.user.username : admin.user.username,
            i % 3 ? password : undefined,
            `10.0.1.${i % 4}`
          )
      )
    )
    t.same(await app.services.database.pool`select 1 from login_attempts where attempts < 0`, [])
    await windowsOver()
  })

  await t.test(
    'a login in flight does not survive a password change or a deactivation',
    async t => {
      const { verify } = app.services.passwords
      t.teardown(() => {
        app.services.passwords.verify = verify
      })
      for (const change of [{ password: 'another harbour 48' }, { status: 'disabled' }]) {
        const one = await user('user')
        app.services.passwords.verify = async (...given) => {
          const matches = await verify(...given)
          t.equal((await call(`PATCH /api/users/${one.user.id}`, change)).statusCode, 200)
          return matches
        }
        t.equal(await guess(one.user.username, password), 401, 'that was sent before')
      }
      app.services.passwords.verify = verify
      const one = await user('user')
      const pool = app.services.database.pool
      let login: Promise<number>
      await pool.begin(async sql => {
        await sql`update users set password_hash = 'another' where id = ${one.user.id}`
        login = guess(one.user.username, password)
        await sleep(200)
        await sql`update sessions set revoked_at = now() where user_id = ${one.user.id}`
      })
      t.equal(await login!, 401, 'that is not committed')
    }
  )
})

import { createHmac } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import {
  application,
  bearer,
  caller,
  login,
  organization,
  password,
  secret,
  type Call
} from '../../support/app.ts'
import { documentOf } from '../../support/document.ts'

const app = await application(t)
const anybody = caller(app)
const me = async (token: string) =>
  (await anybody('GET /api/auth/me', undefined, bearer(token))).statusCode

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
    t.same((await call('GET /api/auth/me')).json(), admin.user)
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

  await t.test(
    'after twenty failures, an account waits and others do not',
    async t => {
      const victim = await user('user')
      for (let i = 0; i < 20; i++) t.equal(await guess(victim.user.username.toUpperCase()), 401)
      const waiting = await anybody('POST /api/auth/login', {
        username: victim.user.username,
        password
      })
      t.equal(waiting.statusCode, 429)
      t.ok(Number(waiting.headers['retry-after']) > 800)
      t.equal(
        await guess(`${victim.user.username}@example.com`, password),
        429,
        'by the e-mail as well'
      )
      t.equal(await guess(admin.user.username, password), 200)
      await windowsOver()
      t.equal(await guess(victim.user.username, password), 200, 'until the window is over')
    }
  )

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
    const sprayed = await Promise.all(
      Array.from({ length: 130 }, async (_, i) => await guess(`nobody-${i}`, undefined, '10.0.0.1'))
    )
    t.equal(sprayed.filter(status => status === 429).length, 30, 'and for an address')
    t.equal(verified, 120)
    await windowsOver()
  })

  await t.test(
    'all spellings of one account share a counter',
    async t => {
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
        'and a name that looks like a counter is not that counter'
      )
      const strange = await Promise.all(
        Array.from(
          { length: 30 },
          async (_, i) => await guess(i % 2 ? 'Nobody At All' : 'NOBODY at all')
        )
      )
      t.equal(strange.filter(status => status === 429).length, 10, 'also where there is no account')
      await windowsOver()
    }
  )

  await t.test('an address that waits does not make accounts wait', async t => {
    const victim = await user('user')
    await app.services.database.pool`insert into login_attempts
        values ('address', '10.9.8.7', 100, now() + interval '5 minutes')`
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
    >`select attempts from login_attempts where subject = '10.0.0.2'`
    t.equal(attempts, 19, 'but the address keeps its failures')
    t.equal(await guess(one.user.username, undefined, '10.0.0.2'), 401, 'the account begins anew')
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

  await t.test('a login in flight does not survive a password change or a deactivation', async t => {
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
      t.equal(await guess(one.user.username, password), 401, 'that came before it')
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
    t.equal(await login!, 401, 'that is not committed yet')
  })

  await t.test('deletes sessions that ended long ago', async t => {
    const one = await user('user')
    const pool = app.services.database.pool
    const left = async () =>
      (
        await pool`select from sessions s join refresh_tokens r on r.session_id = s.id
          where s.user_id = ${one.user.id}`
      ).length
    await login(app, one.user.username)
    t.equal(await left(), 2)
    await pool`update sessions set expires_at = now() - interval '2 days'
      where id = (select min(id) from sessions where user_id = ${one.user.id})`
    await login(app, admin.user.username)
    t.equal(await left(), 1)
  })
})

t.test('tokens', async t => {
  const { admin } = await organization(app)
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = JSON.parse(
    Buffer.from(admin.token.split('.')[1]!, 'base64url').toString()
  ) as Record<string, unknown>
  const sign = (
    payload: object,
    {
      header = { alg: 'HS256', typ: 'at+jwt' },
      key = secret
    }: { header?: object; key?: string } = {}
  ) => {
    const text = `${part(header)}.${part(payload)}`
    return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`
  }
  t.equal(await me(sign(claims)), 200, 'the forger of this test knows how')
  const { exp: _e, ...endless } = claims
  for (const [why, token] of Object.entries({
    'another key': sign(claims, { key: 'x'.repeat(40) }),
    'no signature': `${part({ alg: 'none', typ: 'at+jwt' })}.${part(claims)}.`,
    'another algorithm': sign(claims, { header: { alg: 'HS512', typ: 'at+jwt' } }),
    'another type': sign(claims, { header: { alg: 'HS256', typ: 'JWT' } }),
    'no end': sign(endless),
    'another issuer': sign({ ...claims, iss: 'somebody' }),
    'another audience': sign({ ...claims, aud: 'somebody' }),
    'no session': sign({ ...claims, sid: undefined }),
    'a session that never was': sign({ ...claims, sid: 999_999_999 }),
    'a session that is no number': sign({ ...claims, sid: '1 or 1=1' }),
    'not a token': 'hello',
    'a changed one': `${admin.token.slice(0, -3)}abc`
  })) {
    const { statusCode, headers, json } = await anybody(
      'GET /api/auth/me',
      undefined,
      bearer(token)
    )
    t.match(
      [statusCode, headers['www-authenticate'], json().code],
      [
        401,
        'Bearer realm="smartx", error="invalid_token"',
        why === 'a session that never was' ? 'session_ended' : 'token_invalid'
      ],
      `${why} is refused`
    )
  }
  t.match(
    (await anybody('GET /api/auth/me', undefined, bearer(sign({ ...claims, exp: 1 })))).json(),
    { status: 401, code: 'token_expired' },
    'an end in the past'
  )
  t.match(
    (
      await anybody(
        'GET /api/auth/me',
        undefined,
        bearer(sign({ ...claims, exp: 1 }, { key: 'x'.repeat(40) }))
      )
    ).json(),
    { code: 'token_invalid' },
    'which only a token of ours has'
  )
  const brief = sign({ ...claims, exp: Math.floor(Date.now() / 1000) + 1 })
  t.equal(await me(brief), 200)
  await sleep(1100)
  t.match(
    (await anybody('GET /api/auth/me', undefined, bearer(brief))).json(),
    { status: 401, code: 'token_expired' },
    'also of one that was good a moment ago'
  )
  for (const headers of [
    {},
    ...['', 'Bearer', `Basic ${admin.token}`, admin.token].map(authorization => ({ authorization }))
  ]) {
    const answer = await anybody('GET /api/auth/me', undefined, headers)
    t.match(
      [answer.statusCode, answer.headers['www-authenticate'], answer.json().code],
      [401, 'Bearer realm="smartx"', 'unauthenticated']
    )
  }
  t.equal(
    (await anybody('GET /api/auth/me', undefined, { authorization: `bearer ${admin.token}` }))
      .statusCode,
    200,
    'the scheme has no case'
  )
})

t.test('a session ends at once', async t => {
  const { call, user } = await organization(app)
  const alive = async () => {
    const one = await user('user')
    t.equal(await me(one.token), 200)
    return one
  }
  const out = await alive()
  t.equal((await out.call('POST /api/auth/logout')).statusCode, 204)
  t.equal(await me(out.token), 401, 'after a logout')
  t.match((await out.call('GET /api/auth/me')).json(), { code: 'session_ended' }, 'and says so')
  t.equal(
    (await anybody('POST /api/auth/refresh', { refresh_token: out.refresh_token })).statusCode,
    401,
    'and cannot be refreshed'
  )

  const disabled = await alive()
  await call(`PATCH /api/users/${disabled.user.id}`, { status: 'disabled' })
  t.equal(await me(disabled.token), 401, 'when the user is disabled')
  t.match(
    (await anybody('POST /api/auth/refresh', { refresh_token: disabled.refresh_token })).json(),
    { status: 401, code: 'session_ended' }
  )
  await call(`PATCH /api/users/${disabled.user.id}`, { status: 'active' })
  t.equal(await me(disabled.token), 401, 'and is not revived with the user')
  t.equal(
    (await anybody('POST /api/auth/refresh', { refresh_token: disabled.refresh_token })).statusCode,
    401
  )

  const deleted = await alive()
  await call(`DELETE /api/users/${deleted.user.id}`)
  t.equal(await me(deleted.token), 401, 'when the user is deleted')
  t.equal((await call(`POST /api/users/${deleted.user.id}/restore`)).statusCode, 200)
  t.equal(await me(deleted.token), 401, 'and is not revived with the user')

  const changed = await alive()
  await call(`PATCH /api/users/${changed.user.id}`, { password: 'another harbour 48' })
  t.equal(await me(changed.token), 401, 'when an admin changes the password')

  const demoted = await alive()
  t.equal((await demoted.call('POST /api/leads', {})).statusCode, 201)
  await call(`PATCH /api/users/${demoted.user.id}`, { role: 'viewer' })
  t.equal(
    (await demoted.call('POST /api/leads', {})).statusCode,
    403,
    'and a new role counts from the next request on'
  )
})

t.test('refresh tokens', async t => {
  const { user } = await organization(app)
  const refresh = async (refresh_token: string) =>
    await anybody('POST /api/auth/refresh', { refresh_token })

  await t.test('rotate', async t => {
    const one = await user('user')
    const next = await refresh(one.refresh_token)
    t.match(next.json(), { user: one.user, expires_in: 900 })
    t.not(next.json().refresh_token, one.refresh_token)
    t.equal(await me(next.json().token), 200)
    t.equal((await refresh(next.json().refresh_token)).statusCode, 200)
  })

  await t.test(
    'can be used twice within seconds, by two tabs or after a lost response',
    async t => {
      const one = await user('user')
      const both = await Promise.all([refresh(one.refresh_token), refresh(one.refresh_token)])
      t.same(
        both.map(answer => answer.statusCode),
        [200, 200]
      )
      for (const answer of both)
        t.equal((await refresh(answer.json().refresh_token)).statusCode, 200, 'and both go on')
    }
  )

  await t.test('that are reused later end the session', async t => {
    const one = await user('user')
    const next = (await refresh(one.refresh_token)).json()
    await app.services.database
      .pool`update refresh_tokens set used_at = used_at - interval '11 seconds'
        where used_at is not null`
    t.equal((await refresh(one.refresh_token)).statusCode, 401)
    t.equal(await me(next.token), 401, "the thief's token and the owner's alike")
    t.equal((await refresh(next.refresh_token)).statusCode, 401)
  })

  await t.test('that were never issued are refused and end nothing', async t => {
    const one = await user('user')
    t.match((await refresh('A'.repeat(43))).json(), { status: 401, code: 'token_invalid' })
    t.equal((await refresh('short')).statusCode, 400)
    t.equal(await me(one.token), 200)
  })

  await t.test('are not in the database, and neither are passwords', async t => {
    const one = await user('user')
    const tables = await app.services.database.pool<{ row: string }[]>`
      select to_jsonb(t)::text as row from refresh_tokens t union all select to_jsonb(u)::text
        from users u union all select to_jsonb(e)::text from events e`
    t.notOk(tables.some(({ row }) => row.includes(one.refresh_token) || row.includes(password)))
    t.notOk(
      (
        await app.services.database.pool<
          { row: string }[]
        >`select to_jsonb(e)::text as row from events e`
      ).some(({ row }) => row.includes('argon2')),
      'and hashes are not in the event log'
    )
  })
})

t.test("changing the password", async t => {
  const { user, call } = await organization(app)
  const one = await user('viewer')
  const elsewhere = await login(app, one.user.username)
  const change = async (current_password: string, new_password: string) =>
    await one.call('POST /api/auth/change-password', { current_password, new_password })
  t.match((await change('wrong password', 'another harbour 48')).json(), {
    status: 422,
    errors: [{ pointer: '/current_password' }]
  })
  t.match((await change(password, 'short')).json(), {
    status: 400,
    errors: [{ pointer: '/new_password' }]
  })
  t.match((await change(password, 'iloveyou')).json(), {
    status: 422,
    errors: [{ pointer: '/new_password' }]
  })
  const changed = await change(password, 'another harbour 48')
  t.match([changed.statusCode, changed.json()], [200, { expires_in: 900, user: one.user }])
  for (const { token, refresh_token } of [one, elsewhere]) {
    t.equal(await me(token), 401, 'all sessions end, this one as well')
    t.equal(
      (await anybody('POST /api/auth/refresh', { refresh_token })).statusCode,
      401,
      'and whoever has a refresh token of them is out'
    )
  }
  t.equal(await me(changed.json().token), 200, 'a new one begins')
  t.equal(
    (await anybody('POST /api/auth/refresh', { refresh_token: changed.json().refresh_token }))
      .statusCode,
    200
  )
  t.equal(
    (await anybody('POST /api/auth/login', { username: one.user.username, password })).statusCode,
    401
  )
  t.equal(
    (
      await anybody('POST /api/auth/login', {
        username: one.user.username,
        password: 'another harbour 48'
      })
    ).statusCode,
    200
  )

  await t.test('concurrent guesses are counted before they are checked', async t => {
    const victim = await user('user')
    const guesses = await Promise.all(
      Array.from(
        { length: 40 },
        async () =>
          (
            await victim.call('POST /api/auth/change-password', {
              current_password: 'wrong password',
              new_password: 'another harbour 48'
            })
          ).statusCode
      )
    )
    t.equal(guesses.filter(status => status === 422).length, 20)
    t.equal(guesses.filter(status => status === 429).length, 20)
    t.equal(
      (await anybody('POST /api/auth/login', { username: victim.user.username, password }))
        .statusCode,
      429,
      "in the account's one counter"
    )
    await app.services.database
      .pool`update login_attempts set window_ends_at = now() - interval '1 second'`
  })

  await t.test('in flight does not undo a password that an admin sets', async t => {
    const thief = await user('user')
    const { verify } = app.services.passwords
    t.teardown(() => {
      app.services.passwords.verify = verify
    })
    app.services.passwords.verify = async (...given) => {
      const matches = await verify(...given)
      app.services.passwords.verify = verify
      t.equal(
        (await call(`PATCH /api/users/${thief.user.id}`, { password: 'the admin gave it 49' }))
          .statusCode,
        200
      )
      return matches
    }
    t.match(
      (
        await thief.call('POST /api/auth/change-password', {
          current_password: password,
          new_password: 'another harbour 48'
        })
      ).json(),
      { status: 401, code: 'session_ended' }
    )
    t.equal(
      (
        await anybody('POST /api/auth/login', {
          username: thief.user.username,
          password: 'the admin gave it 49'
        })
      ).statusCode,
      200
    )
  })
})

t.test('the OAuth 2 password flow', async t => {
  const { admin } = await organization(app)
  const token = async (form: Record<string, string>) =>
    await app.inject({
      method: 'POST',
      url: '/api/auth/token',
      payload: new URLSearchParams(form).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: 'Basic Og==' }
    })
  const granted = await token({
    grant_type: 'password',
    username: admin.user.username,
    password,
    client_id: '',
    scope: ''
  })
  t.match(
    [granted.statusCode, granted.json()],
    [200, { token_type: 'bearer', expires_in: 900, access_token: /^ey/ }]
  )
  t.equal(await me(granted.json().access_token), 200)
  t.equal(
    (await token({ grant_type: 'refresh_token', refresh_token: granted.json().refresh_token }))
      .statusCode,
    200
  )
  const refused = await token({
    grant_type: 'password',
    username: admin.user.username,
    password: 'wrong password'
  })
  t.match(
    [refused.headers['www-authenticate'], refused.json()],
    [undefined, { status: 400, error: 'invalid_grant' }]
  )
  t.match((await token({ grant_type: 'password', username: admin.user.username })).json(), {
    status: 400,
    error: 'invalid_request',
    errors: [{ pointer: '/password' }]
  })
  t.equal((await token({ grant_type: 'client_credentials' })).statusCode, 400)
})

t.test('the directory lists the active users for everybody in the organization', async t => {
  const { call, admin, user } = await organization(app)
  const viewer = await user('viewer')
  const [disabled, deleted] = [await user('user'), await user('user')]
  await call(`PATCH /api/users/${disabled.user.id}`, { status: 'disabled' })
  await call(`DELETE /api/users/${deleted.user.id}`)
  const summaries = [admin, viewer].map(({ user: { id, username } }) => ({ id, username }))
  const directory = async (query = '') => await viewer.call(`GET /api/users/directory${query}`)
  t.same(
    (await directory()).json(),
    { data: summaries, has_more: false, next_cursor: null },
    'sorted by name'
  )
  const first = await directory('?limit=1')
  t.match(first.json(), { data: summaries.slice(0, 1), has_more: true })
  t.equal(
    first.headers.link,
    `</api/users/directory?limit=1&cursor=${first.json().next_cursor}>; rel="next"`
  )
  t.match((await directory(`?limit=1&cursor=${first.json().next_cursor}`)).json(), {
    data: summaries.slice(1),
    has_more: false
  })
  t.match((await directory('?q=VIEW')).json(), { data: summaries.slice(1) })
  t.match((await directory('?q=example.com')).json(), { data: [] }, 'e-mails cannot be found out')
  t.match((await directory('?q=%20')).json(), { data: summaries })
  t.equal((await directory('?status=disabled')).statusCode, 400)
})

t.test('the wait for an unresponsive database is bounded', async t => {
  const app = await application(t)
  const { admin, call } = await organization(app)
  const { services } = app
  const working = services.database
  t.teardown(() => {
    services.database = working
  })
  const silent = Object.assign(
    (async () => await new Promise(() => {})) as unknown as typeof working.point,
    {
      unsafe: async () => await new Promise(() => {}),
      begin: async () => await new Promise(() => {})
    }
  )
  const other = await login(app, admin.user.username)
  const { now } = performance
  t.teardown(() => {
    performance.now = now
  })
  for (const [request, database, body, who] of [
    ['POST /api/auth/login', { ...working, point: silent }, { username: 'a', password }],
    ['POST /api/auth/login', { ...working, pool: silent }, { username: 'a', password }],
    [
      'GET /api/auth/me',
      { ...working, point: silent },
      undefined,
      caller(app, bearer(other.token))
    ],
    ['GET /api/auth/me', { ...working, point: silent }, undefined, call],
    [
      'POST /api/auth/refresh',
      { ...working, pool: silent },
      { refresh_token: other.refresh_token }
    ],
    [
      'POST /api/auth/change-password',
      { ...working, pool: silent },
      { current_password: password, new_password: 'another harbour 48' },
      call
    ],
    ['POST /api/auth/logout', { ...working, pool: silent }, undefined, call]
  ] as [string, typeof working, object | undefined, Call | undefined][]) {
    t.equal((await call('GET /api/auth/me')).statusCode, 200)
    services.database = database
    const answer = (who ?? caller(app))(request, body)
    await sleep(100)
    performance.now = () => now.call(performance) + 10_000
    t.equal(
      await Promise.race([answer.then(({ statusCode }) => statusCode), sleep(3_000)]),
      503,
      request
    )
    performance.now = now
    services.database = working
  }
})

t.test(
  'a partner who tries the operations from top to bottom is logged out last',
  async t => {
    const paths = Object.keys(documentOf(app).paths).filter(path => path.startsWith('/api/auth/'))
    t.same(
      paths.map(path => path.split('/').at(-1)),
      ['me', 'login', 'refresh', 'token', 'change-password', 'logout']
    )
  }
)

import { createHmac } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { authService } from '../../../src/modules/identity/auth/service.ts'
import { application, bearer, caller, organization, password, secret } from '../../support/app.ts'

const app = await application(t)
const anybody = caller(app)
const me = async (token: string) =>
  (await anybody('GET /api/auth/me', undefined, bearer(token))).statusCode

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
  t.equal(await me(sign(claims)), 200, 'a correctly signed token is accepted')
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
    'an expiry in the past'
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
    'a claim that only our tokens have'
  )
  const brief = sign({ ...claims, exp: Math.floor(Date.now() / 1000) + 1 })
  t.equal(await me(brief), 200)
  await sleep(1100)
  t.match(
    (await anybody('GET /api/auth/me', undefined, bearer(brief))).json(),
    { status: 401, code: 'token_expired' },
    'also for a token that was valid before'
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
    'the scheme is case-insensitive'
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
    'it cannot be refreshed'
  )

  const disabled = await alive()
  await call(`PATCH /api/users/${disabled.user.id}`, { status: 'disabled' })
  t.equal(await me(disabled.token), 401, 'when the user is disabled')
  t.match(
    (await anybody('POST /api/auth/refresh', { refresh_token: disabled.refresh_token })).json(),
    { status: 401, code: 'session_ended' }
  )
  await call(`PATCH /api/users/${disabled.user.id}`, { status: 'active' })
  t.equal(await me(disabled.token), 401, 'it does not come back with the user')
  t.equal(
    (await anybody('POST /api/auth/refresh', { refresh_token: disabled.refresh_token })).statusCode,
    401
  )

  const deleted = await alive()
  await call(`DELETE /api/users/${deleted.user.id}`)
  t.equal(await me(deleted.token), 401, 'when the user is deleted')
  t.equal((await call(`POST /api/users/${deleted.user.id}/restore`)).statusCode, 200)
  t.equal(await me(deleted.token), 401, 'it does not come back with the user')

  const changed = await alive()
  await call(`PATCH /api/users/${changed.user.id}`, { password: 'another harbour 48' })
  t.equal(await me(changed.token), 401, 'when an admin changes the password')

  const demoted = await alive()
  t.equal((await demoted.call('POST /api/leads', {})).statusCode, 201)
  await call(`PATCH /api/users/${demoted.user.id}`, { role: 'viewer' })
  t.equal(
    (await demoted.call('POST /api/leads', {})).statusCode,
    403,
    'a new role applies from the next request on'
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
        t.equal(
          (await refresh(answer.json().refresh_token)).statusCode,
          200,
          'both sessions continue'
        )
    }
  )

  await t.test('that are used by many at once have one successor', async t => {
    const { refresh_token, token } = await user('user')
    const answers = await Promise.all(Array.from({ length: 20 }, () => refresh(refresh_token)))
    for (const answer of answers) t.equal(answer.statusCode, 200)
    t.equal(new Set(answers.map(answer => answer.json().refresh_token)).size, 1)
    t.equal(await me(token), 200)
  })

  await t.test('do not extend a session beyond 90 days after its login', async t => {
    const { database } = app.services
    const young = await user('user')
    const old = await user('user')
    const age = async (user_id: number, days: number) =>
      await database.pool`update sessions set created_at = now() - ${days} * interval '1 day'
        where user_id = ${user_id}`
    await age(young.user.id, 89)
    await age(old.user.id, 91)
    t.equal((await refresh(young.refresh_token)).statusCode, 200)
    t.match((await refresh(old.refresh_token)).json(), { status: 401, code: 'session_ended' })
  })

  await t.test('that are reused later end the session', async t => {
    const one = await user('user')
    const next = (await refresh(one.refresh_token)).json()
    await app.services.database
      .pool`update refresh_tokens set used_at = used_at - interval '11 seconds'
        where used_at is not null`
    t.equal((await refresh(one.refresh_token)).statusCode, 401)
    t.equal(await me(next.token), 401, 'both tokens are refused')
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
      'hashes are not in the event log'
    )
  })
})

t.test('a token is known by itself, however its scheme is spelled', async t => {
  const { admin, call } = await organization(app)
  const { principalOf } = authService
  let asked = 0
  authService.principalOf = async (...given) => {
    asked++
    return await principalOf(...given)
  }
  t.teardown(() => {
    authService.principalOf = principalOf
  })
  const statusOf = async (authorization: string) =>
    (await anybody('GET /api/auth/me', undefined, { authorization })).statusCode
  for (const scheme of ['Bearer', 'bearer', 'BEARER'])
    t.equal(await statusOf(`${scheme} ${admin.token}`), 200)
  t.equal(asked, 1)
  for (const junk of [' junk', ',x', ' Bearer', '\t1'])
    t.equal(await statusOf(`Bearer ${admin.token}${junk}`), 401, 'nothing follows a known token')
  t.equal(await statusOf(`Basic ${admin.token}`), 401)
  await call('POST /api/auth/logout')
  for (const scheme of ['Bearer', 'bearer'])
    t.equal(await statusOf(`${scheme} ${admin.token}`), 401, 'a logout forgets it')
})

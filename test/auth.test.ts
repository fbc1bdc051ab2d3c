import { createHmac } from 'node:crypto'
import t from 'tap'
import { application, bearer, caller, login, organization, password, secret, type Call } from './helper.ts'
import { documentOf } from './document.ts'

const app = await application(t)
const anybody = caller(app)
const me = async (token: string) => (await anybody('GET /api/auth/me', undefined, bearer(token))).statusCode

t.test('login', async t => {
  const { admin, user, call } = await organization(app)

  await t.test('takes the user name or the e-mail, whatever the case', async t => {
    for (const username of [admin.user.username, admin.user.username.toUpperCase(), `${admin.user.username}@example.com`]) {
      const answer = await anybody('POST /api/auth/login', { username, password })
      t.match([answer.statusCode, answer.headers['cache-control'], answer.json()], [200, 'no-store', { expires_in: 900, user: { id: admin.user.id, username: admin.user.username, role: 'admin' } }])
    }
    t.same((await call('GET /api/auth/me')).json(), admin.user)
  })

  await t.test('says the same of an unknown user, a wrong password, a disabled and a deleted user', async t => {
    const disabled = await user('user')
    await call(`PATCH /api/users/${disabled.user.id}`, { status: 'disabled' })
    const deleted = await user('user')
    await call(`DELETE /api/users/${deleted.user.id}`)
    const answers = [['nobody', password], [admin.user.username, 'wrong password'], [disabled.user.username, password], [deleted.user.username, password]] as const
    const bodies = await Promise.all(answers.map(async ([username, password]) => {
      const answer = await anybody('POST /api/auth/login', { username, password })
      t.match([answer.statusCode, answer.headers['www-authenticate']], [401, /Bearer/])
      return answer.json().detail as string
    }))
    t.equal(new Set(bodies).size, 1)
  })

  await t.test('after ten failures a name waits, whoever knows the password, and others do not', async t => {
    const victim = await user('user')
    for (let i = 0; i < 10; i++) t.equal((await anybody('POST /api/auth/login', { username: victim.user.username.toUpperCase(), password: 'wrong password' })).statusCode, 401)
    const waiting = await anybody('POST /api/auth/login', { username: victim.user.username, password })
    t.equal(waiting.statusCode, 429)
    t.ok(Number(waiting.headers['retry-after']) > 800)
    t.equal((await anybody('POST /api/auth/login', { username: admin.user.username, password })).statusCode, 200)
    await app.house.database.pool`update login_attempts set window_ends_at = now() - interval '1 second'`
    t.equal((await anybody('POST /api/auth/login', { username: victim.user.username, password })).statusCode, 200, 'until the window is over')
  })

  await t.test('after a hundred failures an address waits', async t => {
    await app.house.database.pool`insert into login_attempts values ('address', '10.9.8.7', 100, now() + interval '5 minutes')`
    const answer = await app.inject({ method: 'POST', url: '/api/auth/login', payload: { username: admin.user.username, password }, remoteAddress: '10.9.8.7' })
    t.equal(answer.statusCode, 429)
  })
})

t.test('tokens', async t => {
  const { admin } = await organization(app)
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = JSON.parse(Buffer.from(admin.token.split('.')[1]!, 'base64url').toString()) as Record<string, unknown>
  const sign = (payload: object, { header = { alg: 'HS256', typ: 'at+jwt' }, key = secret }: { header?: object, key?: string } = {}) => {
    const text = `${part(header)}.${part(payload)}`
    return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`
  }
  t.equal(await me(sign(claims)), 200, 'the forger of this test knows how')
  const { exp: _e, ...endless } = claims
  for (const [why, token] of Object.entries({
    'another key': sign(claims, { key: 'x'.repeat(40) }), 'no signature': `${part({ alg: 'none', typ: 'at+jwt' })}.${part(claims)}.`, 'another algorithm': sign(claims, { header: { alg: 'HS512', typ: 'at+jwt' } }),
    'another type': sign(claims, { header: { alg: 'HS256', typ: 'JWT' } }), 'no end': sign(endless), 'an end in the past': sign({ ...claims, exp: 1 }),
    'another issuer': sign({ ...claims, iss: 'somebody' }), 'another audience': sign({ ...claims, aud: 'somebody' }), 'no session': sign({ ...claims, sid: undefined }), 'a session that never was': sign({ ...claims, sid: 999_999_999 }),
    'a session that is no number': sign({ ...claims, sid: '1 or 1=1' }), 'not a token': 'hello', 'a changed one': `${admin.token.slice(0, -3)}abc`
  })) t.equal(await me(token), 401, `${why} is refused`)
  for (const authorization of ['', 'Bearer', `Basic ${admin.token}`, admin.token]) t.equal((await anybody('GET /api/auth/me', undefined, { authorization })).statusCode, 401)
  t.equal((await anybody('GET /api/auth/me', undefined, { authorization: `bearer ${admin.token}` })).statusCode, 200, 'the scheme has no case')
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
  t.equal((await anybody('POST /api/auth/refresh', { refresh_token: out.refresh_token })).statusCode, 401, 'and cannot be refreshed')

  const disabled = await alive()
  await call(`PATCH /api/users/${disabled.user.id}`, { status: 'disabled' })
  t.equal(await me(disabled.token), 401, 'when the user is disabled')
  t.equal((await anybody('POST /api/auth/refresh', { refresh_token: disabled.refresh_token })).statusCode, 401)

  const deleted = await alive()
  await call(`DELETE /api/users/${deleted.user.id}`)
  t.equal(await me(deleted.token), 401, 'when the user is deleted')

  const changed = await alive()
  await call(`PATCH /api/users/${changed.user.id}`, { password: 'another harbour 48' })
  t.equal(await me(changed.token), 401, 'when an admin changes the password')

  const demoted = await alive()
  t.equal((await demoted.call('POST /api/leads', {})).statusCode, 201)
  await call(`PATCH /api/users/${demoted.user.id}`, { role: 'viewer' })
  t.equal((await demoted.call('POST /api/leads', {})).statusCode, 403, 'and a new role counts from the next request on')
})

t.test('refresh tokens', async t => {
  const { user } = await organization(app)
  const refresh = async (refresh_token: string) => await anybody('POST /api/auth/refresh', { refresh_token })

  await t.test('rotate', async t => {
    const one = await user('user')
    const next = await refresh(one.refresh_token)
    t.match(next.json(), { user: one.user, expires_in: 900 })
    t.not(next.json().refresh_token, one.refresh_token)
    t.equal(await me(next.json().token), 200)
    t.equal((await refresh(next.json().refresh_token)).statusCode, 200)
  })

  await t.test('may be used twice at the same time, by two tabs or after a lost answer', async t => {
    const one = await user('user')
    const both = await Promise.all([refresh(one.refresh_token), refresh(one.refresh_token)])
    t.same(both.map(answer => answer.statusCode), [200, 200])
    for (const answer of both) t.equal((await refresh(answer.json().refresh_token)).statusCode, 200, 'and both go on')
  })

  await t.test('used again later end the whole session', async t => {
    const one = await user('user')
    const next = (await refresh(one.refresh_token)).json()
    await app.house.database.pool`update refresh_tokens set used_at = used_at - interval '11 seconds' where used_at is not null`
    t.equal((await refresh(one.refresh_token)).statusCode, 401)
    t.equal(await me(next.token), 401, 'the thief\'s token and the owner\'s alike')
    t.equal((await refresh(next.refresh_token)).statusCode, 401)
  })

  await t.test('that were never given are refused and end nothing', async t => {
    const one = await user('user')
    t.equal((await refresh('A'.repeat(43))).statusCode, 401)
    t.equal((await refresh('short')).statusCode, 400)
    t.equal(await me(one.token), 200)
  })

  await t.test('are not in the database, nor is any password', async t => {
    const one = await user('user')
    const tables = await app.house.database.pool<{ row: string }[]>`
      select to_jsonb(t)::text as row from refresh_tokens t union all select to_jsonb(u)::text from users u union all select to_jsonb(e)::text from events e`
    t.notOk(tables.some(({ row }) => row.includes(one.refresh_token) || row.includes(password)))
    t.notOk((await app.house.database.pool<{ row: string }[]>`select to_jsonb(e)::text as row from events e`).some(({ row }) => row.includes('argon2')), 'and hashes are not in the event log')
  })
})

t.test('changing one\'s password', async t => {
  const { user } = await organization(app)
  const one = await user('viewer')
  const elsewhere = await login(app, one.user.username)
  const change = async (current_password: string, new_password: string) => await one.call('POST /api/auth/change-password', { current_password, new_password })
  t.match((await change('wrong password', 'another harbour 48')).json(), { status: 422, errors: [{ pointer: '/current_password' }] })
  t.match((await change(password, 'short')).json(), { status: 400, errors: [{ pointer: '/new_password' }] })
  t.match((await change(password, 'iloveyou')).json(), { status: 422, errors: [{ pointer: '/new_password' }] })
  t.equal((await change(password, 'another harbour 48')).statusCode, 204)
  t.equal(await me(one.token), 200, 'this session goes on')
  t.equal(await me(elsewhere.token), 401, 'the others end')
  t.equal((await anybody('POST /api/auth/login', { username: one.user.username, password })).statusCode, 401)
  t.equal((await anybody('POST /api/auth/login', { username: one.user.username, password: 'another harbour 48' })).statusCode, 200)
})

t.test('the OAuth 2 password flow', async t => {
  const { admin } = await organization(app)
  const token = async (form: Record<string, string>) => await app.inject({
    method: 'POST', url: '/api/auth/token', payload: new URLSearchParams(form).toString(), headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: 'Basic Og==' }
  })
  const granted = await token({ grant_type: 'password', username: admin.user.username, password, client_id: '', scope: '' })
  t.match([granted.statusCode, granted.json()], [200, { token_type: 'bearer', expires_in: 900, access_token: /^ey/ }])
  t.equal(await me(granted.json().access_token), 200)
  t.equal((await token({ grant_type: 'refresh_token', refresh_token: granted.json().refresh_token })).statusCode, 200)
  t.match((await token({ grant_type: 'password', username: admin.user.username, password: 'wrong password' })).json(), { status: 400, error: 'invalid_grant' })
  t.match((await token({ grant_type: 'password', username: admin.user.username })).json(), { status: 400, error: 'invalid_request', errors: [{ pointer: '/password' }] })
  t.equal((await token({ grant_type: 'client_credentials' })).statusCode, 400)
})

t.test('rights, from the document: every operation', async t => {
  const { call, user } = await organization(app)
  const stranger = await organization(app)
  const [writer, viewer] = [await user('user'), await user('viewer')]
  const ids: Record<string, number> = {}
  for (const [area, body] of Object.entries({ contacts: { first_name: 'A', last_name: 'B' }, accounts: { name: 'A' }, leads: {}, opportunities: { title: 'A' } })) {
    ids[area] = (await call(`POST /api/${area}`, body)).json().id
  }
  ids.users = writer.user.id
  const document = documentOf(app)

  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const area = path.split('/')[2]!
      const request = `${method.toUpperCase()} ${path.replace('{id}', String(ids[area] ?? 1))}`
      const schema = operation.requestBody?.content['application/json']?.schema.$ref?.split('/').at(-1)
      const body = schema === undefined ? undefined : document.components.schemas[schema]?.example ?? {}
      const status = async (who: Call) => (await who(request, body)).statusCode
      if (!operation.security?.length) {
        if (area !== 'auth') t.equal(await status(anybody), path.includes('{code}') ? 404 : 200, `${request} is for everybody`)
        continue
      }
      t.equal(await status(anybody), 401, `${request} without a token`)
      if (area === 'auth') continue
      const reads = method === 'get'
      if (area === 'users') for (const who of [writer, viewer]) t.equal(await status(who.call), 403, `${request} as a ${who.user.role}`)
      else if (!reads) t.equal(await status(viewer.call), 403, `${request} as a viewer`)
      else t.equal(await status(viewer.call), 200, `${request} as a viewer`)
      if (path.includes('{id}')) t.equal(await status(stranger.call), 404, `${request} as a stranger`)
      else if (reads) t.notMatch((await stranger.call(request)).body, new RegExp(`"id":${ids[area]},`), `${request} as a stranger shows nothing of ours`)
    }
  }
  t.equal((await writer.call(`PATCH /api/leads/${ids.leads}`, { score: 1 })).statusCode, 200, 'a user writes')
})

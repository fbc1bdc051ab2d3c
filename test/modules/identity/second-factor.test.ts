// Logins with a code of an app, and what happens without one.
import { pino } from 'pino'
import t from 'tap'
import {
  application,
  bearer,
  caller,
  database,
  login,
  organization,
  password,
  type App
} from '../../support/app.ts'
import {
  codeOf,
  enroll,
  forgetCodes,
  steadyPeriod,
  wrongCode
} from '../../support/second-factor.ts'

const logged: string[] = []
const database_url = await database(t)
const app = await application(
  t,
  { database_url },
  pino({ level: 'trace' }, { write: text => logged.push(text) })
)
const anybody = caller(app)
const { pool } = app.services.database

const logIn = async (username: string, code?: string, secret = password) =>
  await anybody('POST /api/auth/login', {
    username,
    password: secret,
    ...(code !== undefined && { code })
  })
const outcomeOf = async (...given: Parameters<typeof logIn>) => {
  const answer = await logIn(...given)
  return answer.statusCode === 200 ? 200 : (answer.json().code as string)
}

t.test('an enrollment counts once it is confirmed', async t => {
  await steadyPeriod()
  const { user } = await organization(app)
  const me = await user('viewer')
  const { username, id } = me.user
  const state = async () => (await me.call('GET /api/auth/second-factor')).json()
  const none = { is_enabled: false, enabled_since: null, recovery_codes_left: 0 }
  t.same(await state(), { ...none, is_required: false })
  const started = (await me.call('POST /api/auth/second-factor')).json()
  t.match(started, { secret: /^[A-Z2-7]{32}$/, uri: /^otpauth:[/][/]totp[/]SmartX%20CRM:viewer-/ })
  t.ok(started.uri.includes(`secret=${started.secret}`))
  t.same(await state(), { ...none, is_required: false })
  t.equal(await outcomeOf(username), 200, 'not before it is confirmed')

  const confirm = async (code: string) =>
    (await me.call('POST /api/auth/second-factor/confirmation', { code })).json()
  t.match(await confirm(wrongCode(started.secret)), { status: 422, errors: [{ pointer: '/code' }] })
  const { recovery_codes } = await confirm(codeOf(started.secret, -1))
  t.equal(new Set(recovery_codes).size, 10)
  for (const code of recovery_codes) t.match(code, /^([A-Z2-7]{4}-){3}[A-Z2-7]{4}$/)
  t.match(await state(), { is_enabled: true, enabled_since: /^20/, recovery_codes_left: 10 })
  t.match(await confirm(codeOf(started.secret)), { status: 409 }, 'there is nothing left')

  t.equal(await outcomeOf(username), 'second_factor_required')
  t.equal(await outcomeOf(username, codeOf(started.secret)), 200)
  const before = codeOf(started.secret, 1)
  const next = (await me.call('POST /api/auth/second-factor')).json()
  t.equal(await outcomeOf(username, before), 200, 'an earlier one counts until then')
  t.match(await confirm(codeOf(next.secret)), { recovery_codes: [/-/] })
  t.equal(await outcomeOf(username, recovery_codes[0]), 'second_factor_invalid', 'nor its codes')
  t.equal(await outcomeOf(username, codeOf(next.secret, 1)), 200)

  t.equal((await me.call('DELETE /api/auth/second-factor')).statusCode, 204)
  t.match(await state(), none)
  t.equal(await outcomeOf(username), 200)
  t.same(await pool`select from second_factors where user_id = ${id}`, [])
  t.equal((await me.call('POST /api/auth/second-factor/recovery-codes')).statusCode, 409)
})

t.test('a code is accepted a period early or late, and once', async t => {
  await steadyPeriod()
  const { user } = await organization(app)
  const me = await user('user')
  const { username, id } = me.user
  const { secret } = await enroll(me.call)
  t.equal(await outcomeOf(username, codeOf(secret, -1)), 'second_factor_invalid', 'the enrollment')
  t.equal(await outcomeOf(username, codeOf(secret)), 200)
  t.equal(await outcomeOf(username, codeOf(secret)), 'second_factor_invalid')
  await forgetCodes(app, id)
  for (const steps of [-2, 2])
    t.equal(await outcomeOf(username, codeOf(secret, steps)), 'second_factor_invalid', `${steps}`)
  const spaced = codeOf(secret, 1).replace(/(?<=^...)/, ' ')
  t.equal(await outcomeOf(username, spaced), 200, 'with a space')
  t.equal(await outcomeOf(username, codeOf(secret)), 'second_factor_invalid', 'an earlier one')

  for (let i = 0; i < 5; i++) {
    await forgetCodes(app, id)
    const code = codeOf(secret)
    const all = Array.from({ length: 4 }, async () => await outcomeOf(username, code))
    const outcomes = (await Promise.all(all)).map(String).toSorted()
    t.same(outcomes, ['200', ...Array(3).fill('second_factor_invalid')], 'one of four at once')
  }
})

t.test('each recovery code works once, until there are new ones', async t => {
  const { user } = await organization(app)
  const me = await user('user')
  const { username } = me.user
  const { recovery_codes } = await enroll(me.call)
  const [first, second, third] = recovery_codes
  const both = [outcomeOf(username, first), outcomeOf(username, first)]
  t.same((await Promise.all(both)).map(String).toSorted(), ['200', 'second_factor_invalid'])
  t.equal(await outcomeOf(username, ` ${second!.toLowerCase().replaceAll('-', '')}`), 200)
  const left = async () => (await me.call('GET /api/auth/second-factor')).json()
  t.match(await left(), { recovery_codes_left: 8 })
  const renewed = await me.call('POST /api/auth/second-factor/recovery-codes')
  t.equal(await outcomeOf(username, third), 'second_factor_invalid')
  t.equal(await outcomeOf(username, renewed.json().recovery_codes[9]), 200)
  t.match(await left(), { recovery_codes_left: 9 })
  const other = await user('user')
  await enroll(other.call)
  const theirs = renewed.json().recovery_codes[8]
  t.equal(await outcomeOf(other.user.username, theirs), 'second_factor_invalid')
})

t.test('nobody learns without the password who has a second factor', async t => {
  const { user } = await organization(app)
  const [me, plain] = [await user('user'), await user('user')]
  const { secret } = await enroll(me.call)
  const answers = []
  for (const username of [me.user.username, plain.user.username, 'nobody-at-all'])
    for (const code of [undefined, codeOf(secret), '000000']) {
      const { statusCode, headers, json } = await logIn(username, code, 'a wrong password')
      const { request_id: _, ...body } = json()
      answers.push(JSON.stringify([statusCode, headers['www-authenticate'], body]))
    }
  t.equal(new Set(answers).size, 1)
  t.match(answers[0], /"unauthenticated"/)
  t.equal(await outcomeOf(plain.user.username, '000000'), 200, 'a needless code is ignored')
  for (const code of [undefined, wrongCode(secret)]) {
    const answer = await logIn(me.user.username, code)
    t.match(
      [answer.statusCode, answer.headers['www-authenticate'], answer.json().errors[0].pointer],
      [401, 'Bearer realm="smartx"', '/code']
    )
  }
})

t.test('wrong codes count as failed logins', async t => {
  const { user } = await organization(app)
  const me = await user('user')
  const { username, id } = me.user
  const { secret, recovery_codes } = await enroll(me.call)
  const from = async (remoteAddress: string, code?: string, change = {}) => {
    const payload = { username, password, ...(code !== undefined && { code }), ...change }
    const url = '/api/auth/login'
    return (await app.inject({ method: 'POST', url, payload, remoteAddress })).statusCode
  }
  const wrong = wrongCode(secret)
  for (let i = 0; i < 10; i++) t.equal(await from('10.3.0.1', wrong), 401)
  for (let i = 0; i < 9; i++) t.equal(await from('10.3.0.1'), 401, 'without one, they stay')
  // nor does a change of the password lift them
  const changed = { current_password: password, new_password: password }
  const again = await app.inject({
    method: 'POST',
    url: '/api/auth/change-password',
    payload: changed,
    headers: bearer(me.token),
    remoteAddress: '10.3.0.1'
  })
  t.equal(again.statusCode, 200)
  t.equal(await from('10.3.0.1', recovery_codes[0]), 429, 'also for a correct code')
  t.equal(await from('10.3.0.2', recovery_codes[0]), 200, 'elsewhere, it was not used up')
  const guesses = Array.from({ length: 40 }, async () => await from('10.3.0.3', wrong))
  const statuses = await Promise.all(guesses)
  t.equal(statuses.filter(status => status === 401).length, 20, 'of those at once, too')
  const [address] = await pool`select attempts from login_attempts
    where kind = 'address' and subject = '10.3.0.3'`
  t.ok(address!.attempts >= 20, 'and those of the address')
  await pool`delete from login_attempts`

  t.equal(await from('10.3.0.4', recovery_codes[1]), 200)
  await pool`insert into login_attempts
    values ('username', ${`user:${id}`}, 100, now() + interval '5 minutes')`
  t.equal(await from('10.3.0.5'), 429, 'an account over its limit')
  t.equal(await from('10.3.0.4'), 401, 'goes on where it logged in before')
  t.equal(await from('10.3.0.4', wrong), 429)
  t.equal(await from('10.3.0.5', recovery_codes[2]), 429)
  t.equal(await from('10.3.0.4', recovery_codes[2]), 200)
  await pool`delete from login_attempts`
})

t.test('wrong codes of a confirmation count, too', async t => {
  const { user } = await organization(app)
  const me = await user('user')
  const { secret } = (await me.call('POST /api/auth/second-factor')).json()
  const confirm = async (code: string) =>
    (await me.call('POST /api/auth/second-factor/confirmation', { code })).statusCode
  for (let i = 0; i < 20; i++) t.equal(await confirm(wrongCode(secret)), 422)
  t.equal(await confirm(codeOf(secret)), 429)
  await pool`delete from login_attempts`
  const code = codeOf(secret)
  const both = await Promise.all([confirm(code), confirm(code)])
  t.same(new Set(both), new Set([200, 409]), 'one of two at once')
})

t.test('the password of several organizations is told apart before a code is used', async t => {
  const [one, two] = [await organization(app), await organization(app)]
  const shared = { username: 'twice', email: 'twice@example.com', password }
  for (const { call } of [one, two]) await call('POST /api/users', shared)
  const first = await anybody('POST /api/auth/login', {
    username: 'twice',
    password,
    organization: one.slug
  })
  const { recovery_codes } = await enroll(caller(app, bearer(first.json().token)))
  const code = recovery_codes[0]
  const failed = { username: 'twice', password: 'wrong', organization: one.slug }
  t.equal((await anybody('POST /api/auth/login', failed)).statusCode, 401)
  t.equal(await outcomeOf('twice', code), 'organization_required')
  const [pair] = await pool`select attempts from login_attempts
    where kind = 'pair' and subject like ${`user:${first.json().user.id} %`}`
  t.ok(pair!.attempts > 1, 'which clears no failures')
  const chosen = { username: 'twice', password, code, organization: one.slug }
  t.equal((await anybody('POST /api/auth/login', chosen)).statusCode, 200)
  const other = { username: 'twice', password, organization: two.slug }
  t.equal((await anybody('POST /api/auth/login', other)).statusCode, 200, 'has none')
})

t.test('the OAuth 2 form takes a code', async t => {
  const { user } = await organization(app)
  const me = await user('user')
  const { secret } = await enroll(me.call)
  const token = async (form: Record<string, string>) =>
    await app.inject({
      method: 'POST',
      url: '/api/auth/token',
      payload: new URLSearchParams({
        grant_type: 'password',
        username: me.user.username,
        password,
        ...form
      }).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' }
    })
  for (const [form, code] of [
    [{}, 'second_factor_required'],
    [{ code: wrongCode(secret) }, 'second_factor_invalid']
  ] as const)
    t.match((await token(form)).json(), { status: 400, code, error: 'invalid_grant' })
  const granted = await token({ code: codeOf(secret) })
  t.match([granted.statusCode, granted.json()], [200, { token_type: 'bearer' }])
  const refresh_token = granted.json().refresh_token as string
  const refreshed = await token({ grant_type: 'refresh_token', refresh_token })
  t.equal(refreshed.statusCode, 200, 'a refresh needs none')
})

/** All that is stored about an organization but the second factors themselves. */
async function everythingIn(one: App): Promise<string> {
  const sql = one.services.database.pool
  const rows = await sql<{ row: string }[]>`
    select to_jsonb(u)::text as row from users u union all select to_jsonb(e)::text from events e
    union all select to_jsonb(s)::text from second_factors s
    union all select to_jsonb(s)::text from sessions s
    union all select to_jsonb(a)::text from login_attempts a`
  return rows.map(({ row }) => row).join('\n')
}

t.test('secrets and codes are neither stored nor logged', async t => {
  const { user, call } = await organization(app)
  const me = await user('user')
  const { secret, recovery_codes } = await enroll(me.call)
  const code = codeOf(secret)
  t.equal(await outcomeOf(me.user.username, code), 200)
  t.equal(await outcomeOf(me.user.username, recovery_codes[0]), 200)
  await outcomeOf(me.user.username, recovery_codes[0])
  const [row] = await pool`select * from second_factors where user_id = ${me.user.id}`
  t.match(row, { secret: /^[\w-]{80}$/, pending_secret: null })
  const stored = await everythingIn(app)
  const history = await call(`GET /api/users/${me.user.id}/history`)
  t.match(history.json().data[0], { changed: ['second_factor_since'], actor_id: me.user.id })
  const events = await pool<{ event: string }[]>`select to_jsonb(e)::text as event from events e`
  for (const hidden of [row!.secret as string, ...(row!.recovery_codes as string[])])
    t.notOk(events.some(({ event }) => event.includes(hidden)))
  const plain = recovery_codes.flatMap(code => [code, code.replaceAll('-', '')])
  t.ok(logged.length > 0)
  for (const hidden of [secret, ...plain]) {
    t.notOk(stored.includes(hidden))
    t.notOk(logged.some(text => text.includes(hidden)))
    t.notOk(history.body.includes(hidden))
  }
})

t.test('with another key, recovery codes go on to work', async t => {
  const { user, call } = await organization(app)
  const me = await user('user')
  const { username, id } = me.user
  const { secret, recovery_codes } = await enroll(me.call)
  t.equal((await me.call('POST /api/auth/second-factor')).statusCode, 200, 'another one is pending')
  const other = await application(t, { database_url, jwt_secret: 'another secret, as long as it' })
  const logInThere = async (code: string) =>
    await caller(other)('POST /api/auth/login', { username, password, code })
  t.match((await logInThere(codeOf(secret))).json(), { code: 'second_factor_invalid' })
  const there = await logInThere(recovery_codes[0]!)
  t.equal(there.statusCode, 200)
  const confirmed = await caller(other, bearer(there.json().token))(
    'POST /api/auth/second-factor/confirmation',
    { code: codeOf(secret) }
  )
  t.equal(confirmed.statusCode, 409)
  t.equal(await outcomeOf(username, codeOf(secret)), 200, 'it counts again with the first one')
  t.equal((await call(`DELETE /api/users/${id}/second-factor`)).statusCode, 204)
})

t.test('an organization can require it', async t => {
  const { call, user } = await organization(app)
  const me = await user('user')
  const script = (await call('POST /api/api-tokens', { name: 'S', scopes: ['*'] })).json()
  const changed = await call('PATCH /api/organization', { second_factor: 'required' })
  t.match(changed.json(), { second_factor: 'required' })
  const late = await login(app, me.user.username)
  for (const each of [me.call, caller(app, bearer(late.token)), call]) {
    for (const request of ['GET /api/contacts', 'POST /api/leads', 'GET /api/users/directory'])
      t.match(
        (await each(request, request.startsWith('POST') ? {} : undefined)).json(),
        { status: 403, code: 'second_factor_enrollment_required' },
        request
      )
    t.match((await each('GET /api/auth/me')).json(), {
      organization: { second_factor: 'required' }
    })
    for (const request of ['GET /api/auth/sessions', 'GET /api/auth/second-factor'])
      t.equal((await each(request)).statusCode, 200, request)
  }
  t.match((await me.call('GET /api/auth/second-factor')).json(), { is_required: true })
  t.equal((await caller(app, bearer(script.token))('GET /api/contacts')).statusCode, 200)
  const { recovery_codes } = await enroll(me.call)
  t.equal((await me.call('GET /api/contacts')).statusCode, 200, 'from the confirmation on')
  t.equal((await call('GET /api/contacts')).statusCode, 403, 'of no other user')
  t.equal(await outcomeOf(me.user.username, recovery_codes[0]), 200)
  t.equal((await me.call('DELETE /api/auth/second-factor')).statusCode, 409)
  t.equal((await me.call('GET /api/contacts')).statusCode, 200, 'it is still there')
  await enroll(call)
  await call('PATCH /api/organization', { second_factor: 'optional' })
  t.equal((await me.call('DELETE /api/auth/second-factor')).statusCode, 204)
  t.equal((await me.call('GET /api/contacts')).statusCode, 200)
})

t.test('an admin resets it, a password reset does not', async t => {
  const [ours, theirs] = [await organization(app), await organization(app)]
  const [me, colleague] = [await ours.user('user'), await ours.user('user')]
  const { username, id } = me.user
  await enroll(me.call)
  t.match((await ours.call(`GET /api/users/${id}`)).json(), { second_factor_since: /^20/ })
  await ours.call(`PATCH /api/users/${id}`, { password: 'another harbour 48' })
  t.equal(await outcomeOf(username, undefined, 'another harbour 48'), 'second_factor_required')
  const path = `/api/users/${id}/second-factor`
  t.equal((await colleague.call(`DELETE ${path}`)).statusCode, 403)
  t.equal((await theirs.call(`DELETE ${path}`)).statusCode, 404)
  t.equal(await outcomeOf(username, undefined, 'another harbour 48'), 'second_factor_required')
  t.equal((await ours.call(`DELETE ${path}`)).statusCode, 204)
  t.equal(await outcomeOf(username, undefined, 'another harbour 48'), 200)
  t.match((await ours.call(`GET /api/users/${id}`)).json(), { second_factor_since: null })

  const grants = [
    { resource: 'users', actions: ['read', 'update'], reach: 'all' },
    { resource: 'records', actions: ['read'], reach: 'own' }
  ]
  await ours.call('POST /api/roles', { name: 'Helpdesk', grants })
  const helpdesk = await ours.user('Helpdesk')
  const admin = `/api/users/${ours.admin.user.id}/second-factor`
  t.equal((await helpdesk.call(`DELETE ${admin}`)).statusCode, 403, 'of one who may do more')
})

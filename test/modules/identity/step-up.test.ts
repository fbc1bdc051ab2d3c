// What requires a recent login, and how a session proves who uses it.
import t from 'tap'
import { application, bearer, caller, organization, password } from '../../support/app.ts'
import { documentOf } from '../../support/document.ts'
import { age, codeOf, enroll, steadyPeriod } from '../../support/second-factor.ts'

const app = await application(t)
const { pool } = app.services.database
const refused = { status: 403, code: 'step_up_required' }

t.test('changes of roles, users, tokens and second factors require a recent login', async t => {
  const { call, user, admin } = await organization(app)
  const other = await user('user')
  const token = (await call('POST /api/api-tokens', { name: 'A', scopes: ['*'] })).json()
  const role = (await call('POST /api/roles', { name: 'R', grants: [] })).json()
  const guarded: [string, object?][] = [
    ['POST /api/roles', { name: 'X', grants: [] }],
    [`PATCH /api/roles/${role.id}`, { name: 'Y' }],
    [`DELETE /api/roles/${role.id}`],
    ['POST /api/api-tokens', { name: 'B', scopes: ['*'] }],
    [`PATCH /api/api-tokens/${token.id}`, { name: 'C' }],
    [`POST /api/api-tokens/${token.id}/rotation`, {}],
    [`DELETE /api/api-tokens/${token.id}`],
    [`PATCH /api/users/${other.user.id}`, { role: 'admin' }],
    [`DELETE /api/users/${other.user.id}/second-factor`],
    ['PATCH /api/organization', { second_factor: 'optional' }],
    ['POST /api/auth/second-factor'],
    ['POST /api/auth/second-factor/recovery-codes'],
    ['DELETE /api/auth/second-factor']
  ]
  await age(app, admin.user.id, 'stepped_up_at', 11)
  for (const [request, body] of guarded)
    t.match((await call(request, body)).json(), refused, request)
  for (const request of [
    'GET /api/roles',
    'GET /api/api-tokens',
    'GET /api/users',
    'GET /api/auth/me',
    'GET /api/auth/second-factor'
  ])
    t.equal((await call(request)).statusCode, 200, request)
  t.equal((await call('POST /api/leads', {})).statusCode, 201)

  const confirmed = await call('POST /api/auth/step-up', { password })
  const left = Date.parse(confirmed.json().valid_until) - Date.now()
  t.ok(left > 590_000 && left <= 600_000, 'for ten minutes')
  for (const [request, body] of guarded) t.not((await call(request, body)).statusCode, 403, request)
})

t.test('a login, and what starts a session, is a step-up for ten minutes', async t => {
  const { call, admin } = await organization(app)
  const create = async () =>
    (await call('POST /api/api-tokens', { name: 'A', scopes: ['*'] })).statusCode
  t.equal(await create(), 201)
  await age(app, admin.user.id, 'stepped_up_at', 9)
  t.equal(await create(), 201)
  await age(app, admin.user.id, 'stepped_up_at', 10)
  t.equal(await create(), 403)
  const refreshed = await caller(app)('POST /api/auth/refresh', {
    refresh_token: admin.refresh_token
  })
  const next = caller(app, bearer(refreshed.json().token))
  t.match((await next('DELETE /api/auth/second-factor')).json(), refused, 'a refresh is none')
  const changed = await call('POST /api/auth/change-password', {
    current_password: password,
    new_password: 'another harbour 48'
  })
  const after = caller(app, bearer(changed.json().token))
  t.match((await after('DELETE /api/auth/second-factor')).json(), refused, 'nor a new password')
})

t.test('a step-up is of one session, and needs the second factor', async t => {
  await steadyPeriod()
  const { user } = await organization(app)
  const me = await user('user')
  const { secret, recovery_codes } = await enroll(me.call)
  const login = await caller(app)('POST /api/auth/login', {
    username: me.user.username,
    password,
    code: recovery_codes[0]
  })
  const other = caller(app, bearer(login.json().token))
  await age(app, me.user.id, 'stepped_up_at', 11)
  const stepUp = async (body: object) => {
    const answer = await me.call('POST /api/auth/step-up', body)
    const { code, errors } = answer.json()
    return [answer.statusCode, code, errors?.[0].pointer]
  }
  t.same(await stepUp({ password: 'wrong password' }), [422, 'rule_broken', '/password'])
  t.same(
    await stepUp({ password: 'wrong password', code: codeOf(secret) }),
    [422, 'rule_broken', '/password'],
    'which uses up no code'
  )
  t.same(await stepUp({ password }), [422, 'second_factor_required', '/code'])
  t.same(await stepUp({ password, code: recovery_codes[0] }), [
    422,
    'second_factor_invalid',
    '/code'
  ])
  t.match((await me.call('DELETE /api/auth/second-factor')).json(), refused)
  t.same(await stepUp({ password, code: codeOf(secret) }), [200, undefined, undefined])
  t.match((await other('DELETE /api/auth/second-factor')).json(), refused, 'not elsewhere')
  t.equal((await me.call('DELETE /api/auth/second-factor')).statusCode, 204)
})

t.test('wrong proofs count as failed logins', async t => {
  const { user } = await organization(app)
  const me = await user('user')
  const { recovery_codes } = await enroll(me.call)
  const stepUp = async (body: object) => (await me.call('POST /api/auth/step-up', body)).statusCode
  await pool`delete from login_attempts`
  for (let i = 0; i < 10; i++) t.equal(await stepUp({ password: 'wrong password' }), 422)
  for (let i = 0; i < 10; i++) t.equal(await stepUp({ password, code: 'WRONG' }), 422)
  t.equal(await stepUp({ password, code: recovery_codes[0] }), 429)
  const { username } = me.user
  const login = await caller(app)('POST /api/auth/login', { username, password })
  t.equal(login.statusCode, 429, 'in the same counter')
  await pool`delete from login_attempts`
  const all = Array.from({ length: 30 }, async () => await stepUp({ password: 'wrong password' }))
  t.equal((await Promise.all(all)).filter(status => status === 429).length, 10, 'also at once')
})

t.test('API tokens are not asked for one, and cannot make one', async t => {
  const { call, admin } = await organization(app)
  const scopes = { name: 'A', scopes: ['*'], risk: 'destructive' }
  const { token } = (await call('POST /api/api-tokens', scopes)).json()
  const script = caller(app, bearer(token))
  await age(app, admin.user.id, 'stepped_up_at', 11)
  t.equal((await script('POST /api/tags', { name: 'x' })).statusCode, 201)
  for (const request of ['POST /api/auth/step-up', 'POST /api/roles'])
    t.match((await script(request, { password })).json(), { status: 403, code: 'forbidden' })
})

t.test('the document names what requires it', async t => {
  const operations = Object.entries(documentOf(app).paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      ...(operation as { 'x-step-up'?: boolean; description?: string })
    }))
  )
  const marked = operations.filter(operation => operation['x-step-up'])
  for (const { name, description } of operations)
    t.equal(
      description?.includes('`step_up_required`'),
      marked.some(one => one.name === name),
      name
    )
  t.same(
    new Set(marked.map(({ name }) => name.split('/')[2])),
    new Set([
      'auth',
      'users',
      'organization',
      'api-tokens',
      'identity-providers',
      'integrations',
      'invitations',
      'roles',
      'webhooks',
      'deliveries'
    ])
  )
  t.notOk(marked.some(({ name }) => name.startsWith('GET')))
  t.same(
    marked.map(({ name }) => name).filter(name => name.includes('/auth/')),
    [
      'POST /api/auth/second-factor',
      'DELETE /api/auth/second-factor',
      'POST /api/auth/second-factor/recovery-codes'
    ]
  )
})

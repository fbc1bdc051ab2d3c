// API tokens: what they are limited to, and when they stop working.
import t from 'tap'
import {
  application,
  bearer,
  caller,
  organization,
  password,
  type Call
} from '../../support/app.ts'
import { documentOf, requiredQuery } from '../../support/document.ts'

const app = await application(t, { trust_proxy: ['127.0.0.1'] })
const { pool } = app.services.database

interface Issued {
  id: number
  version: number
  token: string
}
async function issue(call: Call, body: object): Promise<Issued & { call: Call }> {
  const answer = await call('POST /api/api-tokens', { name: 'Script', ...body })
  if (answer.statusCode !== 201) throw new Error(answer.body)
  const issued = answer.json<Issued>()
  return { ...issued, call: caller(app, bearer(issued.token)) }
}

t.test('a token is shown once, works at once, and its use is noted', async t => {
  const { call, admin } = await organization(app)
  const answer = await call('POST /api/api-tokens', { name: 'Script', scopes: ['contacts:read'] })
  const { id, token, ...shown } = answer.json()
  t.match(token, new RegExp(`^sx_${id}_[\\w-]{43}$`))
  t.match(shown, { user_id: admin.user.id, risk: 'read', scopes: ['contacts:read'] })
  const one = `/api/api-tokens/${id}`
  t.match((await call(`GET ${one}`)).json(), { id, last_used_at: null })
  t.notOk((await call(`GET ${one}`)).body.includes(token.slice(10)))
  const script = caller(app, bearer(token))
  t.equal((await script('GET /api/contacts')).statusCode, 200)
  const used = (await call(`GET ${one}`)).json()
  t.match(used, { version: 1, last_used_at: String })
  const events = (await call(`GET ${one}/history`)).json().data
  t.equal(events.length, 1, 'a use is no change')
  t.notOk(JSON.stringify(events).includes('hash'))

  const stored = await pool`select secret_hash from api_tokens where id = ${id}`
  t.match(stored[0]!.secret_hash, /^[0-9a-f]{64}$/)
  t.notOk(JSON.stringify(await pool`select * from events`).includes(stored[0]!.secret_hash))
})

const isForTokens = (permission: string) =>
  !/^(me|api-tokens|invitations):/.test(permission) &&
  !/^(users|roles|organization|identity-providers):(create|update|delete)/.test(permission)

/** What every user and every token may read. */
const everyones = new Set(['directory:read', 'access:read', 'organization:read'])

t.test('every operation needs its scope, whatever other scopes a token has', async t => {
  const { call } = await organization(app)
  const { permissions } = (await call('GET /api/auth/me')).json()
  const operations = Object.entries(documentOf(app).paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation }))
  )
  const needed = Map.groupBy(operations, ({ operation }) => operation['x-permission'])
  for (const [permission, group] of needed) {
    if (permission === undefined || everyones.has(permission)) continue
    const scopes = permissions.filter((one: string) => one !== permission && isForTokens(one))
    const other = await issue(call, { scopes, risk: 'destructive' })
    const own =
      isForTokens(permission) && (await issue(call, { scopes: [permission], risk: 'destructive' }))
    for (const { path, method, operation } of group) {
      const url = path.replaceAll(/\{\w+\}/g, '999999')
      const request = `${method.toUpperCase()} ${url}?${requiredQuery(operation)}`
      const body = operation.requestBody ? {} : undefined
      t.equal((await other.call(request, body)).statusCode, 403, `${request} without ${permission}`)
      if (!own) continue
      const { statusCode, body: text } = await own.call(request, body)
      t.notOk(text.includes(`the permission ${permission}`), `${request} with ${permission}`)
      t.not(statusCode, 401)
    }
  }
})

t.test('a token never has more than its user, whose roles count at once', async t => {
  const { call, user } = await organization(app)
  const viewer = await user('viewer')
  const mine = { name: 'X', scopes: ['contacts:create'] }
  t.match((await viewer.call('POST /api/api-tokens', mine)).json(), { status: 403 })
  const other = { ...mine, scopes: ['contacts:read'], user_id: 1 }
  t.equal((await viewer.call('POST /api/api-tokens', other)).statusCode, 403)
  const script = await issue(call, { scopes: ['*'], risk: 'write', user_id: viewer.user.id })
  const contact = { first_name: 'A', last_name: 'B' }
  const create = async () => (await script.call('POST /api/contacts', contact)).statusCode
  t.equal(await create(), 403)
  await call(`PATCH /api/users/${viewer.user.id}`, { role: 'user' })
  t.equal(await create(), 201)
  await call(`PATCH /api/users/${viewer.user.id}`, { role: 'partner' })
  t.equal((await script.call('GET /api/contacts?count=exact')).json().total, 1, 'its own records')
  await call(`PATCH /api/users/${viewer.user.id}`, { status: 'disabled' })
  t.match((await script.call('GET /api/contacts')).json(), { status: 401, code: 'token_invalid' })
})

t.test('a token is limited to its risk', async t => {
  const { call, id: organization_id } = await organization(app)
  const scopes = ['*']
  const [reading, writing, all] = [
    await issue(call, { scopes }),
    await issue(call, { scopes, risk: 'write' }),
    await issue(call, { scopes, risk: 'destructive' })
  ]
  const contact = { first_name: 'A', last_name: 'B' }
  t.equal((await reading.call('POST /api/contacts', contact)).statusCode, 403)
  const { id } = (await writing.call('POST /api/contacts', contact)).json()
  t.equal((await writing.call(`PATCH /api/contacts/${id}`, { company: 'C' })).statusCode, 200)
  t.equal((await writing.call(`DELETE /api/contacts/${id}`)).statusCode, 403)
  t.equal((await all.call(`DELETE /api/contacts/${id}`)).statusCode, 204)

  await pool`insert into contacts (organization_id, first_name, last_name)
    select ${organization_id}, 'Many', 'N' || i from generate_series(1, 101) i`
  const { id: campaign } = (await call('POST /api/campaigns', { name: 'C' })).json()
  const add = async ({ call }: { call: Call }) =>
    await call(`POST /api/campaigns/${campaign}/members`, { resource: 'contacts', filter: '' })
  t.match((await add(writing)).json(), { status: 403, detail: /more than 100 records/ })
  t.match((await call('GET /api/campaign-members?count=exact')).json(), { total: 0 })
  t.equal((await add(all)).json().added, 101)

  const csv = async ({ call }: { call: Call }) =>
    await call('GET /api/contacts?fields=id', undefined, { accept: 'text/csv' })
  t.equal((await csv(reading)).statusCode, 200)
  await pool`insert into contacts (organization_id, first_name, last_name)
    select ${organization_id}, 'Many', 'N' || i from generate_series(1, 10000) i`
  t.match((await csv(reading)).json(), { status: 403, detail: /more than 10,000 rows/ })
  t.equal((await csv(all)).body.trim().split('\r\n').length, 10_102)
})

t.test('a token makes no tokens, users and roles, and is no login', async t => {
  const { call } = await organization(app)
  const { id, call: script } = await issue(call, { scopes: ['*'], risk: 'destructive' })
  for (const [request, body] of [
    ['POST /api/api-tokens', { name: 'Y', scopes: ['*'] }],
    ['GET /api/api-tokens', undefined],
    [`POST /api/api-tokens/${id}/rotation`, {}],
    ['POST /api/users', { username: 'x', email: 'x@example.com', password }],
    ['POST /api/roles', { name: 'X', grants: [] }],
    ['GET /api/auth/me', undefined],
    ['GET /api/auth/sessions', undefined],
    ['POST /api/auth/logout', undefined]
  ] as const)
    t.equal((await script(request, body)).statusCode, 403, request)
  t.equal((await script('GET /api/users')).statusCode, 200)
})

t.test('a rotation leaves the old secret some hours, a deletion nothing', async t => {
  const { call } = await organization(app)
  const first = await issue(call, { scopes: ['*'] })
  const works = async ({ call }: { call: Call }) => (await call('GET /api/tags')).statusCode
  t.equal(await works(first), 200)
  const rotate = async (body: object) => {
    const answer = await call(`POST /api/api-tokens/${first.id}/rotation`, body)
    return { ...answer.json(), call: caller(app, bearer(answer.json().token)) }
  }
  const second = await rotate({})
  t.same([await works(first), await works(second)], [200, 200])
  const third = await rotate({ overlap_hours: 0 })
  t.same([await works(first), await works(second), await works(third)], [401, 401, 200])
  t.match(
    (await call(`POST /api/api-tokens/${first.id}/rotation`, { overlap_hours: 169 })).json(),
    {
      status: 400
    }
  )
  await call(`DELETE /api/api-tokens/${first.id}`)
  t.equal(await works(third), 401)
  t.equal((await call(`POST /api/api-tokens/${first.id}/restore`)).statusCode, 404, 'for good')
})

t.test('a token works until it expires, and from its networks', async t => {
  const { call } = await organization(app)
  const soon = new Date(Date.now() + 1_500).toISOString()
  const brief = await issue(call, { scopes: ['*'], expires_at: soon })
  t.equal((await brief.call('GET /api/tags')).statusCode, 200)
  await new Promise(resolve => setTimeout(resolve, 1_600))
  t.equal((await brief.call('GET /api/tags')).statusCode, 401)

  const allowed_networks = ['203.0.113.0/24', '2001:db8::/32', '198.51.100.7']
  const office = await issue(call, { scopes: ['*'], allowed_networks })
  const from = async (address: string) =>
    (await office.call('GET /api/tags', undefined, { 'x-forwarded-for': address })).statusCode
  t.same(
    await Promise.all(
      ['203.0.113.9', '::ffff:203.0.113.9', '2001:db8:1::1', '198.51.100.7'].map(from)
    ),
    [200, 200, 200, 200]
  )
  t.same(
    await Promise.all(['203.0.114.1', '198.51.100.8', '2001:db9::1'].map(from)),
    [401, 401, 401]
  )
  for (const [body, pointer] of [
    [{ scopes: ['contacts:fly'] }, '/scopes/0'],
    [{ scopes: ['*'], allowed_networks: ['10.0.0.0/33'] }, '/allowed_networks/0'],
    [{ scopes: ['*'], expires_at: '2020-01-01T00:00:00Z' }, '/expires_at']
  ] as const)
    t.match((await call('POST /api/api-tokens', { name: 'X', ...body })).json(), {
      status: 422,
      errors: [{ pointer }]
    })
})

t.test('invented and changed tokens are refused alike', async t => {
  const { call } = await organization(app)
  const { id, token } = await issue(call, { scopes: ['*'] })
  const other = await issue(call, { scopes: ['*'] })
  for (const forged of [
    `sx_${id}_${'A'.repeat(43)}`,
    token.replace(`sx_${id}_`, `sx_${other.id}_`),
    token.replace(`sx_${id}_`, 'sx_0_'),
    `${token}A`,
    token.slice(0, -1),
    'sx_',
    `sx_9999999999999999_${token.slice(-43)}`
  ])
    t.match((await caller(app, bearer(forged))('GET /api/tags')).json(), {
      status: 401,
      code: 'token_invalid'
    })
})

t.test('a service account acts by tokens alone', async t => {
  const { call, admin } = await organization(app)
  const robot = { username: 'robot', email: 'robot@example.com', kind: 'service', role: 'viewer' }
  const created = await call('POST /api/users', robot)
  t.match([created.statusCode, created.json().kind], [201, 'service'])
  const { id } = created.json()
  for (const body of [
    { ...robot, username: 'r', password },
    { ...robot, kind: 'person' }
  ])
    t.ok((await call('POST /api/users', body)).statusCode >= 400)
  t.equal((await call(`PATCH /api/users/${id}`, { password })).statusCode, 422)
  const script = await issue(call, { scopes: ['contacts:read'], user_id: id })
  t.equal((await script.call('GET /api/contacts')).statusCode, 200)
  await pool`update users set password_hash = (
    select password_hash from users where id = ${admin.user.id}) where id = ${id}`
  const login = await caller(app)('POST /api/auth/login', { username: 'robot', password })
  t.equal(login.statusCode, 401, 'even if it had a password')
  t.match((await call(`PATCH /api/users/${admin.user.id}`, { role: 'viewer' })).json(), {
    status: 409,
    detail: /last active admin/
  })
  await call(`PATCH /api/users/${id}`, { role: 'admin' })
  t.equal((await call(`PATCH /api/users/${admin.user.id}`, { role: 'viewer' })).statusCode, 409)
})

t.test('a token has a rate limit of its own', async t => {
  const { call } = await organization(app)
  const slow = await issue(call, { scopes: ['*'], rate_limit: 3 })
  const statuses: number[] = []
  for (let i = 0; i < 5; i++) statuses.push((await slow.call('GET /api/tags')).statusCode)
  t.same(statuses, [200, 200, 200, 429, 429])
  t.match((await slow.call('GET /api/tags')).headers, { 'ratelimit-policy': '"token";q=3;w=60' })
  const other = await issue(call, { scopes: ['*'] })
  t.equal((await other.call('GET /api/tags')).statusCode, 200)
})

t.test('nobody gets the tokens of others', async t => {
  const { call, user } = await organization(app)
  const mine = await issue(call, { scopes: ['*'], risk: 'destructive' })
  const [viewer, keeper] = [await user('viewer'), await user('viewer')]
  const one = `/api/api-tokens/${mine.id}`
  t.equal((await viewer.call(`GET ${one}`)).statusCode, 404)
  t.same((await viewer.call('GET /api/api-tokens')).json().data, [])
  const grants = [{ resource: 'api-tokens', actions: ['read', 'update'], reach: 'all' }]
  const { id: role } = (await call('POST /api/roles', { name: 'Keeper', grants })).json()
  await call(`PATCH /api/users/${keeper.user.id}`, { role_ids: [role] })
  t.equal((await keeper.call(`GET ${one}`)).statusCode, 200)
  t.equal((await keeper.call(`POST ${one}/rotation`, {})).statusCode, 403)
  t.equal((await keeper.call(`PATCH ${one}`, { name: 'Y' })).statusCode, 403)
  t.notOk(Object.keys(documentOf(app).paths).some(path => /api-tokens.*shares/.test(path)))

  const theirs = await issue(call, { scopes: ['*'], user_id: viewer.user.id })
  await call(`DELETE /api/users/${viewer.user.id}`)
  await call(`POST /api/users/${viewer.user.id}/restore`)
  t.equal((await theirs.call('GET /api/tags')).statusCode, 401, 'not after a restoration either')
})

t.test('a token can be sent back as it was read, and has only scopes that it can use', async t => {
  const { call } = await organization(app)
  const expires_at = new Date(Date.now() + 500).toISOString()
  const { id } = await issue(call, { scopes: ['tags:read'], expires_at })
  await new Promise(resolve => setTimeout(resolve, 600))
  const one = `/api/api-tokens/${id}`
  const read = (await call(`GET ${one}`)).json()
  t.match((await call(`PUT ${one}`, { ...read, name: 'Other' })).json(), { name: 'Other' })
  for (const [body, pointer] of [
    [{ scopes: ['tags:delete'] }, '/risk'],
    [{ scopes: ['users:create'], risk: 'destructive' }, '/scopes/0'],
    [{ scopes: ['me:read'] }, '/scopes/0'],
    [{ allowed_networks: ['010.0.0.1'] }, '/allowed_networks/0'],
    [{ allowed_networks: ['10.1.1.1/8'] }, '/allowed_networks/0'],
    [{ allowed_networks: ['10.1'] }, '/allowed_networks/0']
  ] as const)
    t.match(
      (await call(`PATCH ${one}`, body)).json(),
      { errors: [{ pointer }] },
      JSON.stringify(body)
    )
})

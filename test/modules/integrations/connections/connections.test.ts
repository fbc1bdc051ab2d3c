// Named connections to other systems, and how far they are.
import t from 'tap'
import {
  application,
  bearer,
  caller,
  organization,
  type App,
  type Call
} from '../../../support/app.ts'
import { integrationService } from '../../../../src/modules/integrations/connections/service.ts'
import { behavesLikeARecord } from '../../../support/record.ts'

const app = await application(t)

let count = 0
const unique = () => `System ${++count}`

t.test('an integration behaves like a record', async t => {
  await behavesLikeARecord(t, app, '/api/integrations', {
    valid: () => ({ name: unique(), kind: 'erp' }),
    change: { description: 'Orders' },
    derived: ['cursor', 'acknowledged_at'],
    invalid: [
      [{ name: '' }, '/name'],
      [{ kind: 'ERP system' }, '/kind'],
      [{ webhook_ids: ['x'] }, '/webhook_ids/0'],
      [{ cursor: '0-' }, '/cursor']
    ]
  })
})

/** A new API token, and a caller with it. */
async function tokenOf(app: App, call: Call, scopes = ['contacts:read', 'contacts:create']) {
  const body = { name: unique(), scopes, risk: 'write' }
  const { id, token } = (await call('POST /api/api-tokens', body)).json()
  return { id: id as number, call: caller(app, bearer(token)) }
}

/** An integration with an API token, and a caller with that. */
async function integration(call: Call, fields: object = {}) {
  const token = await tokenOf(app, call)
  const body = { name: unique(), kind: 'erp', api_token_id: token.id, ...fields }
  const created = await call('POST /api/integrations', body)
  t.equal(created.statusCode, 201, created.body)
  const { id } = created.json()
  return { id: id as number, path: `/api/integrations/${id}`, token }
}

const endOf = async (call: Call): Promise<string> =>
  (await call('GET /api/events?after=latest')).json().next_cursor

t.test('it names its credential and webhooks, which exist', async t => {
  const { call } = await organization(app)
  const other = await organization(app)
  const token = await tokenOf(app, call)
  const foreign = await tokenOf(app, other.call)
  const url = 'https://hooks.example.com/crm'
  const hook = (await call('POST /api/webhooks', { url })).json()
  const unknown = (await other.call('POST /api/webhooks', { url })).json()
  const body = { name: 'ERP', kind: 'erp', api_token_id: token.id, webhook_ids: [hook.id] }
  const { id } = (await call('POST /api/integrations', body)).json()
  const path = `/api/integrations/${id}`
  t.match((await call(`GET ${path}?include=api_token,webhooks`)).json(), {
    ...body,
    is_active: true,
    cursor: null,
    acknowledged_at: null,
    included: { api_token: { id: token.id }, webhooks: [{ id: hook.id, url }] }
  })
  t.notMatch((await call(`GET ${path}?include=api_token,webhooks`)).body, /secret|hash/)
  for (const [changes, pointer] of [
    [{ api_token_id: foreign.id }, '/api_token_id'],
    [{ webhook_ids: [hook.id, unknown.id] }, '/webhook_ids/1']
  ] as const) {
    const expected = { status: 422, errors: [{ pointer }] }
    t.match((await call(`PATCH ${path}`, changes)).json(), expected)
    const another = { name: unique(), kind: 'erp', ...changes }
    t.match((await call('POST /api/integrations', another)).json(), expected)
  }
  for (const [changes, pointer] of [
    [{ name: 'erp', api_token_id: null }, '/name'],
    [{ name: 'Shop' }, '/api_token_id']
  ] as const)
    t.match((await call('POST /api/integrations', { ...body, ...changes })).json(), {
      status: 409,
      errors: [{ pointer }]
    })
  await call(`DELETE /api/webhooks/${hook.id}`)
  const kept = await call(`PATCH ${path}`, { description: 'kept', webhook_ids: [hook.id] })
  t.equal(kept.statusCode, 200, 'a webhook that was deleted may stay')
  t.same((await call(`GET ${path}?include=webhooks`)).json().included, { webhooks: [] })
  t.equal((await call('POST /api/integrations', { ...body, name: 'X' })).statusCode, 422)
  t.match((await call(`GET /api/integrations?webhook_ids[any]=${hook.id}`)).json().data, [{ id }])
})

t.test('it acknowledges what it has done, with its own token', async t => {
  const us = await organization(app)
  const { call } = us
  const { path, id, token } = await integration(call)
  t.same((await call(`GET ${path}/lag`)).json(), {
    cursor: null,
    acknowledged_at: null,
    behind: null,
    behind_since: null
  })
  const cursor = await endOf(call)
  const before = (await call(`GET ${path}`)).json()
  const acknowledged = await token.call(`PUT ${path}/cursor`, { cursor })
  t.match(acknowledged.json(), { cursor, behind: 0, behind_since: null })
  const after = (await call(`GET ${path}`)).json()
  t.same({ ...after, cursor: null, acknowledged_at: null }, before, 'it is no change')
  t.equal(after.cursor, cursor)
  t.ok(Date.parse(after.acknowledged_at) > Date.now() - 60_000)
  t.equal((await call(`GET ${path}/history`)).json().data.length, 1)
  t.notMatch((await call(`GET ${path}/history`)).body, /"cursor"|acknowledged/)

  const contact = { first_name: 'Ada', last_name: 'Byron' }
  const first = (await token.call('POST /api/contacts', contact)).json()
  await call('POST /api/contacts', contact)
  t.match((await call(`GET ${path}/lag`)).json(), { behind: 2, behind_since: first.created_at })
  const lags = await integrationService.lags(app.services)
  t.match(
    lags.find(one => one.organization_id === us.id && one.id === id),
    { kind: 'erp', cursor, behind: 2, behind_since: first.created_at }
  )
  await call(`PATCH ${path}`, { is_active: false })
  t.notOk((await integrationService.lags(app.services)).some(one => one.id === id))

  const { data } = (await token.call(`GET /api/events?after=${cursor}`)).json()
  t.equal(data.length, 2)
  const one = { cursor: data[0].cursor }
  t.match((await token.call(`PUT ${path}/cursor`, one)).json(), { ...one, behind: 2 })
  t.equal((await token.call(`PUT ${path}/cursor`, one)).statusCode, 200, 'again')
  const back = await token.call(`PUT ${path}/cursor`, { cursor })
  t.match(back.json(), { status: 409, code: 'conflict' })
  t.match(back.json().detail, data[0].cursor)
  t.equal((await call(`GET ${path}`)).json().cursor, data[0].cursor)
  for (const cursor of [`${data[0].cursor.split('-')[0]}-000000000000`, '999999-b5bb9d8014a0'])
    t.match((await token.call(`PUT ${path}/cursor`, { cursor })).json(), { status: 410 })
  t.equal((await token.call(`PUT ${path}/cursor`, { cursor: 'x' })).statusCode, 400)
  const last = { cursor: await endOf(call) }
  t.equal((await call(`PUT ${path}/cursor`, last)).statusCode, 200, 'an admin may, too')
})

t.test('nobody else acknowledges for it, or learns that there is one', async t => {
  const us = await organization(app)
  const other = await organization(app)
  const { path, id } = await integration(us.call)
  const reader = await us.call('POST /api/roles', {
    name: 'Readers',
    grants: [{ resource: 'integrations', actions: ['read'], reach: 'all' }]
  })
  const viewer = await us.user(reader.json().name)
  t.equal((await viewer.call(`GET ${path}`)).statusCode, 200)
  const callers = {
    'another token': (await tokenOf(app, us.call, ['*'])).call,
    'the token of another integration': (await integration(us.call)).token.call,
    'a token of another organization': (await tokenOf(app, other.call, ['*'])).call,
    'an admin of another organization': other.call,
    'who may read it': viewer.call,
    'a user': (await us.user('user')).call
  }
  for (const [who, call] of Object.entries(callers)) {
    const ours = (await call(`PUT ${path}/cursor`, { cursor: '0-' })).json()
    const none = (await call('PUT /api/integrations/999999/cursor', { cursor: '0-' })).json()
    t.equal(ours.status, 404, who)
    t.equal(ours.detail, none.detail, who)
  }
  t.match((await us.call(`GET ${path}`)).json(), { id, cursor: null })
  t.equal((await caller(app)(`PUT ${path}/cursor`, { cursor: '0-' })).statusCode, 401)
})

t.test('an API token changes no integration, and one that was deleted has no cursor', async t => {
  const { call } = await organization(app)
  const { path, token } = await integration(call)
  const all = await tokenOf(app, call, ['*'])
  t.equal((await all.call(`PATCH ${path}`, { description: 'mine' })).statusCode, 403)
  t.equal((await all.call(`GET ${path}`)).statusCode, 200)
  t.equal((await token.call(`GET ${path}`)).statusCode, 403, 'its scopes count')
  await call(`DELETE ${path}`)
  t.equal((await token.call(`PUT ${path}/cursor`, { cursor: '0-' })).statusCode, 404)
  t.equal((await call(`GET ${path}/lag`)).statusCode, 404)
  t.equal((await call(`GET ${path}/log`)).statusCode, 404)
})

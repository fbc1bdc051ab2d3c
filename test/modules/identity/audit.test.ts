import t from 'tap'
import {
  application,
  bearer,
  caller,
  login,
  organization,
  ownerOf,
  password,
  type Call
} from '../../support/app.ts'
import { documentOf } from '../../support/document.ts'
import { analyze, plansOf } from '../../support/plans.ts'
import { ours, plant } from '../../support/plant.ts'
import { enroll, wrongCode } from '../../support/second-factor.ts'

const app = await application(t)
const owner = ownerOf(app)
const contact = { first_name: 'Ann', last_name: 'Lee', phone: '+44 20 7946 0018' }

const entries = async (call: Call, query = '') =>
  (await call(`GET /api/audit?${query}`)).json<{ data: Record<string, unknown>[] }>().data

t.test('a change has who made it, with which credential, from where, in which request', async t => {
  const { call, admin, user } = await organization(app)
  const {
    call: seller,
    user: { id }
  } = await user('user')
  const created = await seller('POST /api/contacts', contact, { 'x-request-id': 'creation-1' })
  const subject = `subject=contact/${created.json().id}`
  t.match(await entries(call, subject), [
    {
      type: 'contact.created',
      actor_id: id,
      address: '127.0.0.1',
      request_id: 'creation-1',
      session_id: Number,
      api_token_id: null,
      before: null,
      after: { last_name: 'Lee' },
      details: null
    }
  ])
  const token = (
    await call('POST /api/api-tokens', {
      name: 'T',
      scopes: ['contacts:read', 'contacts:update'],
      risk: 'write'
    })
  ).json()
  const script = caller(app, bearer(token.token))
  await script(`PATCH /api/contacts/${created.json().id}`, { last_name: 'Low' })
  t.match(await entries(call, `api_token_id=${token.id}`), [
    { type: 'contact.updated', actor_id: admin.user.id, session_id: null, changed: ['last_name'] }
  ])
  const found = await entries(call, 'request_id=creation-1')
  t.same(
    found.map(({ type }) => type),
    ['contact.created']
  )
  t.match(await entries(call, `actor_id=${id}&type=contact.created`), { length: 1 })
  t.match(await entries(call, `type=api_token.created`), { length: 1 })
  t.notMatch(JSON.stringify(await entries(call, 'limit=200')), /secret_hash|password_hash":"/)
})

t.test('logins, failures, refusals, exports, settings and ended sessions are recorded', async t => {
  const { call, slug, user } = await organization(app)
  const viewer = await user('viewer')
  const wrong = { username: viewer.user.username, password: 'not the password', organization: slug }
  await caller(app)('POST /api/auth/login', wrong, { 'user-agent': 'a guess' })
  await caller(app)('POST /api/auth/login', { ...wrong, username: 'nobody-here' })
  await viewer.call('POST /api/contacts', contact)
  await call('GET /api/contacts?fields=id&last_name=Lee', undefined, { accept: 'text/csv' })
  await call('GET /api/contacts?limit=1', undefined, { accept: 'application/x-ndjson' })
  await call('GET /api/reports/pipeline', undefined, { accept: 'text/csv' })
  await call('PATCH /api/organization', { locale: 'de-DE' })
  await viewer.call('POST /api/auth/logout')
  const { id } = viewer.user
  t.match(await entries(call, `subject=user/${id}`), [
    { type: 'session.ended', actor_id: id, session_id: Number, details: { session_ids: [Number] } },
    {
      type: 'permission.denied',
      actor_id: id,
      details: { method: 'POST', route: '/api/contacts', code: 'forbidden' }
    },
    { type: 'login.failed', actor_id: null, details: { client: 'a guess' } },
    { type: 'login.succeeded', actor_id: id, session_id: Number },
    { type: 'user.created' }
  ])
  t.match(await entries(call, 'type=export.started'), [
    { details: { path: 'reports/pipeline', format: 'text/csv' } },
    { details: { path: 'contacts', format: 'application/x-ndjson', parameters: ['limit'] } },
    { details: { path: 'contacts', format: 'text/csv', parameters: ['fields', 'last_name'] } }
  ])
  t.match(await entries(call, 'type=organization.updated'), [
    { subject_type: 'organization', details: { before: {}, after: { locale: 'de-DE' } } }
  ])
  t.match(await entries(call, 'type=login.failed'), { length: 1 })
  const history = (await call(`GET /api/users/${id}/history`)).json().data
  t.same(
    history.map(({ type }: { type: string }) => type),
    ['user.created'],
    'no history has it'
  )
})

t.test(
  'a second factor is recorded: what was asked for, what was wrong and what was used',
  async t => {
    const { call, user } = await organization(app)
    const { user: me, call: own } = await user('user')
    const { secret } = (await own('POST /api/auth/second-factor')).json()
    await own('POST /api/auth/second-factor/confirmation', { code: wrongCode(secret) })
    const { recovery_codes } = await enroll(own)
    for (const code of [undefined, 'wrong', recovery_codes[0]])
      await caller(app)('POST /api/auth/login', { username: me.username, password, code })
    await own('POST /api/auth/second-factor/recovery-codes')
    await own('POST /api/auth/step-up', { password: 'wrong' })
    await own('POST /api/auth/change-password', {
      current_password: 'x',
      new_password: 'y y y y y y'
    })
    const found = await entries(call, `subject=user/${me.id}&from_address=127.0.0.1`)
    t.match(
      found.map(({ type, details }) => ({ type, details })),
      [
        { type: 'login.failed', details: { reason: 'current_password' } },
        { type: 'login.failed', details: { reason: 'step_up' } },
        { type: 'recovery_codes.renewed' },
        { type: 'login.succeeded', details: { provider_id: null } },
        { type: 'recovery_code.used' },
        { type: 'login.failed', details: { reason: 'second_factor' } },
        { type: 'login.challenged', details: { client: String } },
        { type: 'user.updated' },
        { type: 'login.failed', details: { reason: 'second_factor' } },
        { type: 'login.succeeded' },
        { type: 'user.created' }
      ].filter(({ type }) => !type.startsWith('user.'))
    )
  }
)

t.test(
  'a wrong password of namesakes tells none of the organizations where it came from',
  async t => {
    const [one, two] = [await organization(app), await organization(app)]
    const namesake = { username: 'namesake', email: 'namesake@example.com', password }
    for (const { call } of [one, two]) await call('POST /api/users', namesake)
    const wrong = { username: 'namesake', password: 'wrong' }
    const sent = { 'user-agent': 'a laptop', 'x-request-id': 'a-typo-1' }
    await caller(app)('POST /api/auth/login', wrong, sent)
    for (const { call } of [one, two]) {
      const [entry] = await entries(call, 'type=login.failed')
      t.match(entry, { address: null, request_id: null, details: { client: null } })
    }
    await caller(app)('POST /api/auth/login', { ...wrong, organization: one.slug }, sent)
    t.match(await entries(one.call, 'type=login.failed'), [{ request_id: 'a-typo-1' }, {}])
    t.match(await entries(two.call, 'type=login.failed'), { length: 1 })
  }
)

t.test('a refusal that is repeated is recorded once a minute', async t => {
  const { call, user } = await organization(app)
  const viewer = await user('viewer')
  for (let i = 0; i < 5; i++) await viewer.call('POST /api/contacts', contact)
  await viewer.call('POST /api/leads', {})
  t.match(
    (await entries(call, 'type=permission.denied')).map(({ details }) => details),
    [{ route: '/api/leads' }, { route: '/api/contacts' }]
  )
})

t.test('an API token that is used from elsewhere is recorded', async t => {
  const { call } = await organization(app)
  const given = { name: 'T', scopes: ['contacts:read'], allowed_networks: ['192.0.2.0/24'] }
  const { id, token } = (await call('POST /api/api-tokens', given)).json()
  const elsewhere = caller(app, bearer(token))
  t.equal((await elsewhere('GET /api/contacts')).statusCode, 401)
  t.match(await entries(call, `api_token_id=${id}`), [
    { type: 'permission.denied', details: { route: '/api/contacts', code: 'token_invalid' } }
  ])
})

t.test('a refresh token that is used again is recorded', async t => {
  const { call, admin } = await organization(app)
  const { refresh_token } = await login(app, admin.user.username)
  const refresh = async () => await caller(app)('POST /api/auth/refresh', { refresh_token })
  t.equal((await refresh()).statusCode, 200)
  await owner`update refresh_tokens set used_at = used_at - interval '1 minute'
    where used_at is not null`
  t.equal((await refresh()).statusCode, 401)
  t.match(await entries(call, 'type=session.ended'), [
    { actor_id: admin.user.id, details: { reason: 'refresh_token_reused' } }
  ])
})

t.test('every change by the API has its request', async t => {
  const { call, id: organization_id } = await organization(app)
  const ids = await plant(call, ours)
  for (const [path, operations] of Object.entries(documentOf(app).paths)) {
    const id = ids[path.split('/')[2]!]
    if (!path.endsWith('/{id}') || id === undefined) continue
    const url = path.replace('{id}', String(id))
    for (const method of ['patch', 'delete'])
      if (operations[method]) await call(`${method.toUpperCase()} ${url}`, {})
  }
  const without = await owner`select type, subject_id from events
    where organization_id = ${organization_id} and request_id is null and type not in
      (select type from events where organization_id = ${organization_id}
        order by id limit 100)`
  t.same(without, [])
  const made = await owner`select distinct subject_type from events
    where organization_id = ${organization_id} and request_id is not null and details is null`
  t.ok(made.length > 12, `${made.length} types of records`)
})

t.test('it is for admins of the organization, and values only for those who see them', async t => {
  const [one, other] = [await organization(app), await organization(app)]
  const { id } = (await one.call('POST /api/contacts', contact)).json()
  for (const role of ['manager', 'user', 'viewer', 'partner']) {
    const { call } = await one.user(role)
    t.equal((await call('GET /api/audit')).statusCode, 403, role)
    t.equal((await call('GET /api/audit/verification')).statusCode, 403, role)
  }
  t.same(await entries(other.call, `subject=contact/${id}`), [])
  const grants = [
    { resource: 'audit', actions: ['read', 'export'], reach: 'all' },
    { resource: 'contacts', actions: ['read'], reach: 'all', hidden_fields: ['phone'] },
    { resource: 'leads', actions: ['read'], reach: 'own' }
  ]
  const role = await one.call('POST /api/roles', { name: 'auditor', grants })
  t.equal(role.statusCode, 201, role.body)
  const auditor = await one.user('auditor')
  await one.call('POST /api/leads', { contact_id: id, source: 'a secret source' })
  await one.call('POST /api/accounts', { name: 'A secret name' })
  const [seen] = await entries(auditor.call, `subject=contact/${id}`)
  t.match(seen, { after: { last_name: 'Lee' } })
  const text = (await auditor.call('GET /api/audit', undefined, { accept: 'text/csv' })).body
  t.match(text, 'account.created')
  for (const hidden of ['7946', 'secret source', 'secret name']) t.notMatch(text, hidden)
  t.match((await auditor.call('GET /api/audit?fields=after')).body, /Lee/)
})

t.test('filters are by index, and what is no filter is refused', async t => {
  const { call } = await organization(app)
  await call('POST /api/contacts', contact)
  for (const query of [
    'type[in]=contact.created,login.failed',
    'created_at[gte]=2026-01-01',
    'from_address=127.0.0.1',
    'count=exact&limit=1'
  ])
    t.ok((await entries(call, query)).length > 0, query)
  for (const query of ['subject=contact', 'sort=type', 'deleted=true', 'before=1', 'subject_id=1'])
    t.equal((await call(`GET /api/audit?${query}`)).statusCode, 400, query)
  const first = (await call('GET /api/audit?limit=1')).json()
  const second = (await call(`GET /api/audit?limit=1&cursor=${first.next_cursor}`)).json()
  t.ok(second.data[0].id < first.data[0].id)
})

t.test('the application cannot write, change or delete entries', async t => {
  const { call } = await organization(app)
  await call('POST /api/contacts', contact)
  await app.services.sequencer.catchUp()
  const { pool } = app.services.database
  for (const statement of [
    'update events set address = null',
    'delete from events',
    'insert into event_chain select * from event_chain limit 1',
    "update event_chain set hash = ''",
    'delete from event_chain',
    "update event_sequence set snapshot = '1:1:'"
  ])
    await t.rejects(pool.unsafe(statement), { code: '42501' }, statement)
})

t.test('logging in by an unknown name changes nothing', async t => {
  const [{ before }] = await owner<[{ before: number }]>`select count(*) as before from events`
  await caller(app)('POST /api/auth/login', { username: 'nobody-at-all', password })
  const [{ after }] = await owner<[{ after: number }]>`select count(*) as after from events`
  t.equal(after, before)
})

t.test('every filter is on an index', async t => {
  const { call, id } = await organization(app)
  await owner`insert into events (organization_id, type, subject_type, subject_id, actor_id,
      changed, address, request_id, api_token_id, created_at, details)
    select ${id}, 'type.' || repeat('x', 1 + (i % 50)::int), 'contact', i, 1 + i % 500,
      '{}', '10.0.0.' || i % 250, 'request-' || i,
      case when i % 100 = 0 then i end, timestamptz '2026-01-01' + i * interval '1 minute',
      case when i % 10 = 0 then '{}'::jsonb end
    from generate_series(1, 30000) i`
  await analyze(app)
  const expected = {
    'type=type.xxx': 'idx_events_type',
    'actor_id=7': 'idx_events_actor_id',
    'api_token_id=700': 'idx_events_api_token_id',
    'from_address=10.0.0.10': 'idx_events_address',
    'request_id=request-7': 'idx_events_request_id',
    'subject=contact/7': 'idx_events_subject',
    'created_at[lt]=2026-01-01T00:20:00Z': 'idx_events_created_at',
    '': 'events_key'
  }
  for (const [query, index] of Object.entries(expected)) {
    const plans = await plansOf(app, async () => await call(`GET /api/audit?${query}`))
    t.match(plans.join('\n'), new RegExp(`${index}\\b`), query)
  }
})

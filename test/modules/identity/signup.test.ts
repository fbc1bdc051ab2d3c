// Anyone creates an organization, where the operator allows it.
import t from 'tap'
import { application, bearer, caller } from '../../support/app.ts'

const body = {
  name: 'Nova GmbH',
  time_zone: 'Europe/Berlin',
  currency: 'EUR',
  admin: { email: 'nina@nova.example', password: 'a quiet harbor 47', first_name: 'Nina' }
}

t.test('the signup is closed unless it is opened', async t => {
  const app = await application(t)
  const answer = await caller(app)('POST /api/organizations', body)
  t.match(answer.json(), { status: 403, detail: /Sign-up is closed/ })
  t.equal((await app.services.database.pool`select from organizations`).length, 0)
})

t.test('an organization starts with an admin, a pipeline, roles and its settings', async t => {
  const app = await application(t, { signup: 'open' })
  const anybody = caller(app)
  const answer = await anybody('POST /api/organizations', body)
  t.equal(answer.statusCode, 201, answer.body)
  const { organization, session } = answer.json()
  t.match(organization, {
    name: 'Nova GmbH',
    slug: 'nova-gmbh',
    time_zone: 'Europe/Berlin',
    currency: 'EUR',
    locale: 'en-US'
  })
  const call = caller(app, bearer(session.token))
  t.match((await call('GET /api/auth/me')).json(), {
    username: 'nina@nova.example',
    first_name: 'Nina',
    role: 'admin',
    organization: { id: organization.id }
  })
  t.equal((await call('GET /api/pipelines')).json().data.length, 1)
  t.equal((await call('GET /api/roles')).json().data.length, 5)
  t.equal((await call('POST /api/opportunities', { title: 'First' })).statusCode, 201)
  const { email: username, password } = body.admin
  t.equal((await anybody('POST /api/auth/login', { username, password })).statusCode, 200)
})

t.test('what is refused leaves nothing behind, and the next one is free to try', async t => {
  const app = await application(t, { signup: 'open' })
  const anybody = caller(app)
  const admin = body.admin
  for (const [changes, pointer] of [
    [{ time_zone: 'Mars/Olympus' }, '/time_zone'],
    [{ admin: { ...admin, password: 'password123' } }, '/admin/password'],
    [{ admin: { ...admin, password: admin.email } }, '/admin/password'],
    [{ admin: { ...admin, username: 'other@nova.example' } }, '/admin/username']
  ] as const) {
    const answer = await anybody('POST /api/organizations', { ...body, ...changes })
    t.match([answer.statusCode, answer.json().errors?.[0]?.pointer], [422, pointer], answer.body)
  }
  const sql = app.services.database.pool
  t.same(await sql`select from organizations`, [])
  t.same(await sql`select from users`, [])
})

t.test('an address creates at most ten in an hour', async t => {
  const app = await application(t, { signup: 'open' })
  const statuses: number[] = []
  for (let i = 0; i < 12; i++)
    statuses.push((await caller(app)('POST /api/organizations', body)).statusCode)
  t.same(statuses, [...Array.from({ length: 10 }, () => 201), 429, 429])
  const elsewhere = await app.inject({
    method: 'POST',
    url: '/api/organizations',
    payload: body,
    remoteAddress: '203.0.113.9'
  })
  t.equal(elsewhere.statusCode, 201)
})

// A name belongs to one user of each organization, and no organization learns of another one's.
import t from 'tap'
import { createOrganization } from '../../../src/bootstrap/organizations.ts'
import { application, bearer, caller, organization, password } from '../../support/app.ts'

const app = await application(t)
const anybody = caller(app)

/** Logs in as `maria`, who has an account in several organizations. */
const loginAs = async (username: string, secret = password, slug?: string) =>
  await anybody('POST /api/auth/login', {
    username,
    password: secret,
    ...(slug !== undefined && { organization: slug })
  })

t.test(
  'a name is free in each organization, and a login finds the one of its password',
  async t => {
    const [one, two] = [await organization(app), await organization(app)]
    const maria = { username: 'Maria', email: 'maria@example.com', password }
    for (const { call } of [one, two])
      t.equal((await call('POST /api/users', maria)).statusCode, 201)
    for (const changes of [{ username: 'MARIA' }, { email: 'Maria@Example.com' }]) {
      const other = { username: 'mary', email: 'mary@example.com', password, ...changes }
      t.match((await one.call('POST /api/users', other)).json(), { status: 409, code: 'duplicate' })
    }

    const ambiguous = await loginAs('maria')
    t.match(
      [ambiguous.statusCode, ambiguous.json().code, ambiguous.json().organizations],
      [409, 'organization_required', [one.slug, two.slug]]
    )
    for (const { slug, id } of [one, two])
      for (const name of ['maria', 'MARIA@example.com']) {
        const answer = await loginAs(name, password, slug)
        t.equal(answer.statusCode, 200)
        const me = await caller(app, bearer(answer.json().token))('GET /api/auth/me')
        t.match(me.json(), { username: 'Maria', organization: { id, slug, name: 'Test' } })
      }
    const form = new URLSearchParams({ grant_type: 'password', username: 'maria', password })
    const token = async () =>
      await app.inject({
        method: 'POST',
        url: '/api/auth/token',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        payload: form.toString()
      })
    t.match((await token()).json(), {
      code: 'organization_required',
      organizations: [one.slug, two.slug]
    })
    form.set('organization', two.slug)
    t.equal((await token()).statusCode, 200)

    const { id } = (await two.call('GET /api/users?username=Maria')).json().data[0]
    await two.call(`PATCH /api/users/${id}`, { password: 'another harbor 48' })
    t.equal((await loginAs('maria')).statusCode, 200, 'the passwords differ')
    const wrong = await loginAs('maria', 'wrong password')
    const unknown = await loginAs('nobody', 'wrong password')
    const elsewhere = await loginAs('maria', password, two.slug)
    const nowhere = await loginAs('maria', password, 'no-such-organization')
    for (const answer of [wrong, elsewhere, nowhere]) {
      const { request_id: _, ...body } = answer.json()
      const { request_id: __, ...expected } = unknown.json()
      t.same([answer.statusCode, body], [401, expected], 'which tells nothing of organizations')
    }
  }
)

t.test('an account that is locked in one organization is not in another one', async t => {
  const [one, two] = [await organization(app), await organization(app)]
  for (const [{ call }, secret] of [
    [one, password],
    [two, 'another harbor 48']
  ] as const)
    await call('POST /api/users', { username: 'pat', email: 'pat@example.com', password: secret })
  for (let i = 0; i < 20; i++) await loginAs('pat', 'wrong password', one.slug)
  t.equal((await loginAs('pat', password, one.slug)).statusCode, 429)
  t.equal((await loginAs('pat', password)).statusCode, 429)
  t.equal((await loginAs('pat', 'another harbor 48')).statusCode, 200)
})

t.test('the slug of an organization is its name, and unique', async t => {
  const slug = async (name: string) => {
    const username = `admin-${Math.random()}`
    const email = `a${Math.random()}@example.com`
    return (await createOrganization(app.services, name, { username, email, password })).slug
  }
  const id = async () =>
    Number((await app.services.database.pool`select max(id) from organizations`)[0]!.max)
  t.equal(await slug('Ångström & Søn, Ltd.'), 'angstrom-son-ltd')
  t.equal(await slug('angstrom son ltd'), `angstrom-son-ltd-${await id()}`)
  t.equal(await slug('株式会社'), `organization-${await id()}`)
  t.match(await slug('x'.repeat(200)), /^x{40}$/)
  const many = await Promise.all(Array.from({ length: 5 }, async () => await slug('Twins')))
  t.equal(new Set(many).size, 5)
})

t.test('the current user has a name, an organization and permissions', async t => {
  const { call, user, id, slug } = await organization(app)
  const viewer = await user('viewer')
  await call(`PATCH /api/users/${viewer.user.id}`, { first_name: 'Ada', last_name: 'King' })
  const me = (await viewer.call('GET /api/auth/me')).json()
  t.match(me, {
    ...viewer.user,
    first_name: 'Ada',
    last_name: 'King',
    organization: { id, slug, name: 'Test' }
  })
  t.ok(me.permissions.includes('contacts:read'))
  t.notOk(me.permissions.includes('contacts:write'))
  t.same(me.permissions, me.permissions.toSorted())
  t.match((await viewer.call('GET /api/users/directory?limit=200')).json().data, [
    {},
    { id: viewer.user.id, first_name: 'Ada', last_name: 'King' }
  ])
  t.equal((await call('GET /api/users?q=king')).json().data.length, 1)
})

t.test('a disabled user is given no new work, and keeps the work they have', async t => {
  const { call, user } = await organization(app)
  const { user: worker } = await user('user')
  const lead = (await call('POST /api/leads', { assigned_to: worker.id })).json()
  await call(`PATCH /api/users/${worker.id}`, { status: 'disabled' })
  const bodies = {
    accounts: { name: 'A' },
    contacts: { first_name: 'A', last_name: 'B' },
    leads: {},
    opportunities: { title: 'A' },
    activities: { type: 'task', subject: 'A' },
    campaigns: { name: 'A' }
  }
  for (const [path, body] of Object.entries(bodies)) {
    const created = await call(`POST /api/${path}`, { ...body, assigned_to: worker.id })
    t.match(
      [created.statusCode, created.json().code, created.json().errors?.[0].pointer],
      [422, 'unknown_reference', '/assigned_to'],
      path
    )
    const { id } = (await call(`POST /api/${path}`, { ...body, assigned_to: null })).json()
    const assigned = await call(`PATCH /api/${path}/${id}`, { assigned_to: worker.id })
    t.equal(assigned.statusCode, 422, path)
  }
  const saved = await call(`PUT /api/leads/${lead.id}`, { ...lead, source: 'web' })
  t.match([saved.statusCode, saved.json().assigned_to], [200, worker.id])
  const shown = await call(`GET /api/leads/${lead.id}?include=assigned_to`)
  t.equal(shown.json().included.assigned_to.id, worker.id)
})

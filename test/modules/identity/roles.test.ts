// Roles: built in and of one's own, what they allow, and that they count at once.
import t from 'tap'
import { application, organization, type Call } from '../../support/app.ts'
import { analyze, plansOf } from '../../support/plans.ts'

const app = await application(t)

const read = { resource: 'records', actions: ['read'], reach: 'all' }
const idOf = async (call: Call, request: string, body: object): Promise<number> => {
  const answer = await call(`POST /api/${request}`, body)
  t.equal(answer.statusCode, 201, answer.body)
  return answer.json().id
}

t.test('every organization has the built-in roles, which never change', async t => {
  const { call, admin } = await organization(app)
  const { data } = (await call('GET /api/roles?sort=id')).json()
  t.same(
    data.map(({ name, is_built_in }: { name: string; is_built_in: boolean }) => [
      name,
      is_built_in
    ]),
    ['admin', 'manager', 'user', 'viewer', 'partner'].map(name => [name, true])
  )
  for (const { id } of data) {
    const changed = await call(`PATCH /api/roles/${id}`, { description: 'Mine' })
    t.match(changed.json(), { status: 409, detail: /Built-in roles cannot be changed/ })
    t.equal((await call(`DELETE /api/roles/${id}`)).statusCode, 409)
  }
  t.match((await call('POST /api/roles', { name: 'Viewer' })).json(), { code: 'duplicate' })
  const me = (await call('GET /api/auth/me')).json()
  t.match(me, { role: 'admin', roles: [{ id: data[0].id, name: 'admin' }] })
  t.equal(admin.user.role, 'admin', 'the login tells the first role')
})

t.test('a role starts from another one, and counts from the next request on', async t => {
  const { call, user } = await organization(app)
  const [, , , viewer] = (await call('GET /api/roles?sort=id')).json().data
  const assistant = await idOf(call, 'roles', { name: 'Assistant', based_on: viewer.id })
  t.same((await call(`GET /api/roles/${assistant}`)).json().grants, viewer.grants)

  const person = await user('Assistant')
  t.match(person.user.role, 'Assistant')
  const lead = async () => (await person.call('POST /api/leads', {})).statusCode
  t.equal(await lead(), 403)
  const create = { resource: 'leads', actions: ['create'], reach: 'own' }
  await call(`PATCH /api/roles/${assistant}`, { grants: [read, create], name: 'Helper' })
  t.equal(await lead(), 201)
  const stored = (await call(`GET /api/users/${person.user.id}`)).json()
  t.match(stored, { role: 'Helper', role_ids: [assistant] }, 'the name is kept up to date')
  const csv = await person.call('GET /api/leads', undefined, { accept: 'text/csv' })
  t.match(csv.json(), { status: 403, detail: /leads:export/ }, 'reading is not exporting')

  await call(`PATCH /api/users/${person.user.id}`, { role_ids: [viewer.id] })
  t.equal(await lead(), 403, 'and so do the roles of a user')
  const { permissions } = (await person.call('GET /api/auth/me')).json()
  t.ok(permissions.includes('leads:export') && !permissions.includes('leads:create'))

  await call(`PATCH /api/users/${person.user.id}`, { role: 'helper' })
  t.match((await call(`DELETE /api/roles/${assistant}`)).json(), {
    status: 409,
    detail: /Users have this role/
  })
  await call(`PATCH /api/users/${person.user.id}`, { role: 'viewer' })
  t.equal((await call(`DELETE /api/roles/${assistant}`)).statusCode, 204)
})

t.test('an export has the reach of exporting, a list that of reading', async t => {
  const { call, user } = await organization(app)
  const grants = [
    { resource: 'accounts', actions: ['read', 'create'], reach: 'all' },
    { resource: 'accounts', actions: ['export'], reach: 'own' }
  ]
  await call('POST /api/roles', { name: 'Reader', grants })
  const reader = await user('Reader')
  await call('POST /api/accounts', { name: 'Theirs' })
  await reader.call('POST /api/accounts', { name: 'Mine' })
  t.equal((await reader.call('GET /api/accounts?count=exact')).json().total, 2)
  for (const query of ['', '&limit=10']) {
    const request = `GET /api/accounts?fields=name${query}`
    const csv = await reader.call(request, undefined, { accept: 'text/csv' })
    t.equal(csv.body, 'name\r\nMine\r\n')
  }
})

t.test('roles are given by name or by ID, and a form can be sent back', async t => {
  const { call, user } = await organization(app)
  const roles = (await call('GET /api/roles?sort=id')).json().data
  const [, manager, , viewer, partner] = roles.map(({ id }: { id: number }) => id)
  const { user: person } = await user('viewer')
  const one = `/api/users/${person.id}`
  const change = async (body: object) => await call(`PATCH ${one}`, body)
  t.match((await change({ role_ids: [partner, manager] })).json(), {
    role: 'partner',
    role_ids: [partner, manager]
  })
  const form = (await call(`GET ${one}`)).json()
  t.match((await call(`PUT ${one}`, form)).json(), form, 'as it was read')
  t.match((await change({ ...form, role: 'viewer' })).json(), { role_ids: [viewer] })
  t.match((await change({ role: 'viewer', role_ids: [manager] })).json(), {
    role: 'manager',
    role_ids: [manager]
  })
  for (const [body, pointer] of [
    [{ role: 'nobody' }, '/role'],
    [{ role_ids: [manager, 999_999] }, '/role_ids/1'],
    [{ role: 'partner', role_ids: [viewer] }, '/role']
  ] as const)
    t.match((await change(body)).json(), { status: 422, errors: [{ pointer }] })
  const grants = [{ resource: 'contact', actions: ['read'], reach: 'all' }]
  t.match((await call('POST /api/roles', { name: 'X', grants })).json(), {
    status: 422,
    errors: [{ pointer: '/grants/0/resource', params: { allowed: ['records', 'settings'] } }]
  })
})

t.test('an organization keeps an admin, whatever the order of the roles', async t => {
  const { call, admin } = await organization(app)
  const roles = (await call('GET /api/roles?sort=id')).json().data
  const [first, , , viewer] = roles.map(({ id }: { id: number }) => id)
  const one = `/api/users/${admin.user.id}`
  t.match((await call(`PATCH ${one}`, { role_ids: [viewer, first] })).json(), { role: 'viewer' })
  t.match((await call(`PATCH ${one}`, { role_ids: [viewer] })).json(), {
    status: 409,
    detail: /last active admin/
  })
})

t.test('a manager reaches the records of their teams and of the teams below', async t => {
  const { call, user } = await organization(app)
  const [boss, seller, other] = [await user('manager'), await user('user'), await user('user')]
  const region = await idOf(call, 'teams', { name: 'Region', leader_id: boss.user.id })
  const city = { name: 'City', member_ids: [seller.user.id], parent_team_id: region }
  const team = await idOf(call, 'teams', city)
  const theirs = await idOf(seller.call, 'accounts', { name: 'Theirs' })
  const foreign = await idOf(other.call, 'accounts', { name: 'Foreign' })
  const statusOf = async (id: number) => (await boss.call(`GET /api/accounts/${id}`)).statusCode
  t.same([await statusOf(theirs), await statusOf(foreign)], [200, 404])
  await call(`PATCH /api/accounts/${foreign}`, { assigned_to: boss.user.id })
  t.equal(await statusOf(foreign), 200, 'assigned to the manager')

  await call(`PATCH /api/teams/${team}`, { parent_team_id: null })
  t.equal(await statusOf(theirs), 404, 'a change of teams counts from the next request on')
  await call(`PATCH /api/teams/${team}`, { parent_team_id: region })
  await call(`DELETE /api/teams/${team}`)
  t.equal(await statusOf(theirs), 404, 'and so does a deletion')
  await call(`POST /api/teams/${team}/restore`)
  t.equal(await statusOf(theirs), 200)
  t.match((await call(`PATCH /api/teams/${region}`, { parent_team_id: team })).json(), {
    status: 422,
    errors: [{ pointer: '/parent_team_id', params: { rule: 'no_cycle' } }]
  })
})

t.test('a partner links and converts only what they reach', async t => {
  const { call, user } = await organization(app)
  const partner = await user('partner')
  const contact_id = await idOf(call, 'contacts', { first_name: 'A', last_name: 'B' })
  await idOf(call, 'accounts', { name: 'Nova' })
  t.match((await partner.call('POST /api/leads', { contact_id })).json(), {
    status: 422,
    code: 'unknown_reference'
  })
  const lead = await idOf(call, 'leads', { contact_id, assigned_to: partner.user.id })
  t.equal((await partner.call(`PATCH /api/leads/${lead}`, { score: 3 })).statusCode, 200)
  const sent = (await partner.call(`GET /api/leads/${lead}`)).json()
  t.equal((await partner.call(`PUT /api/leads/${lead}`, sent)).statusCode, 200, 'as it was read')
  const included = (await partner.call(`GET /api/leads/${lead}?include=contact`)).json()
  t.same(included.included, {})
  const converted = await partner.call(`POST /api/leads/${lead}/conversion`, {
    account: { name: 'Nova' }
  })
  t.equal(converted.statusCode, 201, 'an account that is out of reach is no duplicate')
  t.match(converted.json(), { contact: null, account: { name: 'Nova' } })
})

t.test('a share widens what is reached, for one record', async t => {
  const { call, user } = await organization(app)
  const [partner, mate] = [await user('partner'), await user('partner')]
  const member_ids = [mate.user.id]
  const team_id = await idOf(call, 'teams', { name: 'Mates', member_ids })
  const id = await idOf(call, 'contacts', { first_name: 'Shared', last_name: 'One' })
  const path = `/api/contacts/${id}`
  const shares = `contacts/${id}/shares`
  const statuses = async ({ call }: { call: Call }) => [
    (await call(`GET ${path}`)).statusCode,
    (await call('GET /api/contacts?count=exact')).json().total,
    (await call(`PATCH ${path}`, { company: 'X' })).statusCode,
    (await call(`DELETE ${path}`)).statusCode
  ]
  t.same(await statuses(partner), [404, 0, 404, 404])
  const share = await idOf(call, shares, { user_id: partner.user.id, access: 'read' })
  t.same(await statuses(partner), [200, 1, 403, 403])
  const stolen = { user_id: mate.user.id, access: 'read' }
  t.equal((await partner.call(`POST /api/${shares}`, stolen)).statusCode, 403)
  await idOf(call, shares, { team_id, access: 'write' })
  t.same(await statuses(mate), [200, 1, 200, 403], 'nobody deletes what is only shared')
  t.match((await call(`GET /api/${shares}?limit=1`)).json(), {
    data: [{ team_id, user_id: null, access: 'write' }],
    has_more: true
  })
  t.match(
    (await call(`POST /api/${shares}`, { user_id: partner.user.id, access: 'write' })).json(),
    {
      code: 'duplicate'
    }
  )
  const explained = await call(
    `GET /api/access/explain?type=contact&action=read&id=${id}&user_id=${partner.user.id}`
  )
  t.same(explained.json(), {
    allowed: true,
    reach: 'own',
    decided_by: { kind: 'share', id: share, name: 'read' },
    hidden_fields: [],
    read_only_fields: []
  })
  t.equal((await call(`DELETE /api/${shares}/${share}`)).statusCode, 204)
  t.equal((await call(`DELETE /api/${shares}/${share}`)).statusCode, 404)
  t.same(await statuses(partner), [404, 0, 404, 404])
  for (const [body, pointer] of [
    [{ access: 'read' }, '/user_id'],
    [{ user_id: 999_999, access: 'read' }, '/user_id'],
    [{ team_id: 999_999, access: 'read' }, '/team_id']
  ] as const)
    t.match((await call(`POST /api/${shares}`, body)).json(), { errors: [{ pointer }] })
})

t.test('everyone may ask about themselves, admins about anyone', async t => {
  const { call, user, admin } = await organization(app)
  const [partner, viewer] = [await user('partner'), await user('viewer')]
  const id = await idOf(partner.call, 'contacts', { first_name: 'A', last_name: 'B' })
  const ask = async ({ call }: { call: Call }, action: string, of = '') =>
    (await call(`GET /api/access/explain?type=contact&id=${id}&action=${action}${of}`)).json()
  const { id: own, username: name } = partner.user
  t.match(await ask(partner, 'delete'), {
    allowed: true,
    decided_by: { kind: 'owner', id: own, name }
  })
  t.match(await ask(viewer, 'read'), {
    allowed: true,
    decided_by: { kind: 'role', name: 'viewer' }
  })
  t.match(await ask(viewer, 'update'), { allowed: false, decided_by: { name: 'viewer' } })
  t.match(await ask({ call }, 'update', `&user_id=${own}`), { allowed: true })
  t.match(await ask(viewer, 'read', `&user_id=${own}`), { status: 403 })
  const unknown = await partner.call('GET /api/access/explain?type=contact&action=read&id=999999')
  t.match(unknown.json(), { allowed: false, decided_by: { kind: 'role', name: 'partner' } })
  const created = await partner.call('GET /api/access/explain?type=contact&action=create&id=1')
  t.match(created.json(), { status: 400, detail: /no `id`/ })
  await call(`POST /api/contacts/${id}/shares`, { user_id: viewer.user.id, access: 'read' })
  const foreign = await organization(app)
  const asked = `GET /api/access/explain?type=contact&action=read&id=${id}&user_id=${admin.user.id}`
  t.equal((await foreign.call(asked)).statusCode, 404)
})

t.test('someone who reaches some records can begin with an export', async t => {
  const { call, user } = await organization(app)
  const grant = { resource: 'records', actions: ['read', 'create', 'export'], reach: 'own' }
  await idOf(call, 'roles', { name: 'Exporter', grants: [grant] })
  for (const accept of ['text/csv', 'application/x-ndjson']) {
    const one = await user('Exporter')
    const answer = await one.call('GET /api/contacts', undefined, { accept })
    t.equal(answer.statusCode, 200, accept)
  }
})

t.test('what a team reaches is found by indexes', async t => {
  const { call, id, user } = await organization(app)
  const manager = await user('manager')
  const member_ids = [manager.user.id]
  await idOf(call, 'teams', { name: 'Sellers', member_ids })
  await app.services.database.pool`
    insert into accounts (organization_id, name, created_by, assigned_to)
    select ${id}, 'Account ' || i, 1000000 + i % 500,
      case i % 500 when 0 then ${manager.user.id}::bigint end from generate_series(1, 20000) i`
  await analyze(app)
  const plans = await plansOf(app, async () => await manager.call('GET /api/accounts?count=exact'))
  t.equal(plans.length, 2)
  for (const plan of plans) {
    t.match(plan, /idx_accounts_(created_by|assigned_to)/)
    t.notMatch(plan, /Seq Scan on accounts/)
  }
})

t.test('a list has what can be read one by one, also of a deleted campaign', async t => {
  const { user } = await organization(app)
  const { call } = await user('partner')
  const campaign_id = await idOf(call, 'campaigns', { name: 'Fair' })
  const contact_id = await idOf(call, 'contacts', { first_name: 'Eva', last_name: 'Ek' })
  const member = await idOf(call, 'campaign-members', { campaign_id, contact_id })
  t.equal((await call(`DELETE /api/campaigns/${campaign_id}`)).statusCode, 204)
  t.equal((await call(`GET /api/campaign-members/${member}`)).statusCode, 200)
  t.match((await call('GET /api/campaign-members?count=exact')).json(), {
    data: [{ id: member }],
    total: 1
  })
})

t.test('users of processes that know only the name of a role get it', async t => {
  const { call, id, user } = await organization(app)
  const roles = (await call('GET /api/roles?sort=id')).json().data
  const [, manager, , viewer] = roles.map(({ id }: { id: number }) => id)
  const sql = app.services.database.pool
  const [made] = await sql`insert into users (organization_id, username, email, password_hash, role)
    values (${id}, 'old', 'old@example.com', 'x', 'viewer') returning id, role_ids`
  t.same(made!.role_ids, [viewer])
  await sql`update users set role = 'manager' where id = ${made!.id}`
  t.match((await call(`GET /api/users/${made!.id}`)).json(), { role_ids: [manager] })
  await user('viewer')
  t.equal((await sql`select from roles where organization_id = ${id}`).length, 5)
})

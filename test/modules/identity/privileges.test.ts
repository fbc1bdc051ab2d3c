// Nobody gets more rights than they have, nor learns of what they may not read.
import t from 'tap'
import { application, login, organization, password, type Call } from '../../support/app.ts'

const app = await application(t)

const read = { resource: 'records', actions: ['read'], reach: 'all' }
const idOf = async (call: Call, request: string, body: object): Promise<number> => {
  const answer = await call(`POST /api/${request}`, body)
  t.equal(answer.statusCode, 201, answer.body)
  return answer.json().id
}

t.test('nobody gives others more than they may do themselves', async t => {
  const { call, user } = await organization(app)
  const people = {
    resource: 'users',
    actions: ['read', 'create', 'update', 'delete'],
    reach: 'all'
  }
  const roles = { resource: 'roles', actions: ['read', 'create', 'update'], reach: 'all' }
  const own = { ...read, reach: 'own' }
  const office = await idOf(call, 'roles', { name: 'Office', grants: [people, roles, own] })
  const clerk = await user('Office')
  const victim = await user('admin')
  const refused = async (request: string, body?: object) => {
    const answer = await clerk.call(request, body)
    t.match(answer.json(), { status: 403, detail: /all permissions of the role/ }, request)
  }
  const mary = { username: 'mary', email: 'mary@example.com', password }
  await refused('POST /api/users', { ...mary, role: 'admin' })
  await refused('POST /api/users', { ...mary, role: 'viewer' })
  await refused(`PATCH /api/users/${clerk.user.id}`, { role: 'admin' })
  await refused(`PATCH /api/users/${victim.user.id}`, { password: 'a stolen harbor 48' })
  await refused(`PATCH /api/users/${victim.user.id}`, { status: 'disabled' })
  await refused(`DELETE /api/users/${victim.user.id}`)
  await refused('POST /api/roles', { name: 'More', grants: [read] })
  await refused(`PATCH /api/roles/${office}`, { grants: [people, roles, read] })
  t.equal((await clerk.call('POST /api/users', { ...mary, role: 'Office' })).statusCode, 201)
  await login(app, victim.user.username)
})

t.test('nobody becomes more by restoring, by ending sessions or by changing roles', async t => {
  const { call, user } = await organization(app)
  const every = ['read', 'create', 'update', 'delete']
  const office = ['users', 'roles'].map(resource => ({ resource, actions: every, reach: 'all' }))
  await idOf(call, 'roles', { name: 'Office', grants: office })
  const strong = await idOf(call, 'roles', { name: 'Strong', grants: [read] })
  const clerk = await user('Office')
  const [admin, deleted] = [await user('admin'), await user('Strong')]
  await call(`DELETE /api/users/${deleted.user.id}`)
  for (const [request, body] of [
    [`POST /api/users/${deleted.user.id}/restore`, undefined],
    [`DELETE /api/users/${admin.user.id}/sessions`, undefined],
    [`PATCH /api/roles/${strong}`, { grants: [] }],
    [`DELETE /api/roles/${strong}`, undefined]
  ] as const)
    t.equal((await clerk.call(request, body)).statusCode, 403, request)
  await call(`DELETE /api/roles/${strong}`)
  t.equal((await clerk.call(`POST /api/roles/${strong}/restore`)).statusCode, 403)
  t.match((await call(`POST /api/users/${deleted.user.id}/restore`)).json(), {
    status: 409,
    detail: /role of the user was deleted/
  })
  await call(`POST /api/roles/${strong}/restore`)
  await call(`PATCH /api/roles/${strong}`, { name: 'Stronger' })
  t.match((await call(`POST /api/users/${deleted.user.id}/restore`)).json(), { role: 'Stronger' })
  t.equal((await admin.call('GET /api/auth/me')).statusCode, 200, 'the session has not ended')
})

t.test('who changes users cannot act as one who reaches other records', async t => {
  const { call, user } = await organization(app)
  const own = { ...read, reach: 'own' }
  const people = { resource: 'users', actions: ['read', 'update'], reach: 'all' }
  await idOf(call, 'roles', { name: 'Own', grants: [own] })
  await idOf(call, 'roles', { name: 'Lead', grants: [own, people] })
  const [lead, other] = [await user('Lead'), await user('Own')]
  const taken = { password: 'a stolen harbor 48' }
  t.equal((await lead.call(`PATCH /api/users/${other.user.id}`, taken)).statusCode, 403)
  const moved = { email: 'thief@example.com' } // which a password is reset by
  t.equal((await lead.call(`PATCH /api/users/${other.user.id}`, moved)).statusCode, 403)
  const unchanged = { email: `${other.user.username}@example.com`, first_name: 'Zoe' }
  t.equal((await lead.call(`PATCH /api/users/${other.user.id}`, unchanged)).statusCode, 200)
  t.equal((await lead.call(`DELETE /api/users/${other.user.id}/second-factor`)).statusCode, 403)
  const token = { name: 'X', scopes: ['*'], user_id: other.user.id }
  t.equal((await lead.call('POST /api/api-tokens', token)).statusCode, 403)
  t.equal((await lead.call('POST /api/api-tokens', { name: 'X', scopes: ['*'] })).statusCode, 201)
})

t.test('nobody widens their own reach by a team', async t => {
  const { call, user } = await organization(app)
  const settings = { resource: 'settings', actions: ['read', 'create', 'update'], reach: 'all' }
  const people = { resource: 'users', actions: ['read', 'update'], reach: 'all' }
  const team = { ...read, reach: 'team' }
  await idOf(call, 'roles', { name: 'Setter', grants: [settings, team] })
  await idOf(call, 'roles', { name: 'Lead', grants: [settings, people, team] })
  for (const role of ['Setter', 'Lead']) {
    const { call, user: me } = await user(role)
    const answer = await call('POST /api/teams', { name: role, member_ids: [me.id] })
    t.equal(answer.statusCode, 403, role)
  }
})

t.test('rules about all records are made by those who reach all', async t => {
  const { call, user } = await organization(app)
  const settings = {
    resource: 'settings',
    actions: ['read', 'create', 'update', 'delete'],
    reach: 'all'
  }
  const leads = { resource: 'leads', actions: ['read', 'update'], reach: 'all' }
  await idOf(call, 'roles', { name: 'Narrow', grants: [settings, { ...leads, reach: 'own' }] })
  await idOf(call, 'roles', { name: 'Wide', grants: [settings, leads] })
  const [narrow, wide] = [await user('Narrow'), await user('Wide')]
  const assignment = { name: 'A', resource: 'leads', user_id: narrow.user.id }
  const about = (field: string) => ({
    name: field,
    rules: [{ field, operator: 'eq', value: 'a', points: 1 }]
  })
  for (const [path, body] of [
    ['assignment-rules', assignment],
    ['scoring-models', about('source')]
  ] as const) {
    const id = await idOf(wide.call, path, body)
    const requests = [
      [`POST /api/${path}`, { ...body, name: 'B' }],
      [`PATCH /api/${path}/${id}`, { name: 'C' }],
      [`DELETE /api/${path}/${id}`, undefined],
      [`POST /api/${path}/${id}/restore`, undefined]
    ] as const
    for (const [request, body] of requests)
      t.equal((await narrow.call(request, body)).statusCode, 403, request)
  }
  t.match((await wide.call('POST /api/scoring-models', about('contact.company'))).json(), {
    status: 422,
    errors: [{ pointer: '/rules/0/field' }]
  })
})

t.test('a record that is shared cannot be taken, nor shared again', async t => {
  const { call, user } = await organization(app)
  const [partner, mate] = [await user('partner'), await user('partner')]
  const id = await idOf(call, 'contacts', { first_name: 'A', last_name: 'B' })
  await idOf(call, `contacts/${id}/shares`, { user_id: partner.user.id, access: 'write' })
  const path = `/api/contacts/${id}`
  const change = async (body: object) => (await partner.call(`PATCH ${path}`, body)).statusCode
  t.equal(await change({ company: 'X', assigned_to: null }), 200, 'as it is')
  t.equal(await change({ assigned_to: partner.user.id }), 403)
  const share = { user_id: mate.user.id, access: 'read' }
  t.equal((await partner.call(`POST ${path}/shares`, share)).statusCode, 403)

  const campaign = await idOf(call, 'campaigns', { name: 'C' })
  const member = { campaign_id: campaign, contact_id: id }
  const shares = `campaigns/${campaign}/shares`
  const reading = await idOf(call, shares, { user_id: partner.user.id, access: 'read' })
  t.equal((await partner.call('POST /api/campaign-members', member)).statusCode, 422)
  const all = { resource: 'contacts', filter: '' }
  t.equal((await partner.call(`POST /api/campaigns/${campaign}/members`, all)).statusCode, 403)
  await call(`DELETE /api/${shares}/${reading}`)
  await idOf(call, shares, { user_id: partner.user.id, access: 'write' })
  t.equal((await partner.call('POST /api/campaign-members', member)).statusCode, 201)
})

t.test('an explanation tells nothing of records that the caller may not read', async t => {
  const { call, user } = await organization(app)
  const people = { resource: 'users', actions: ['read'], reach: 'all' }
  await idOf(call, 'roles', { name: 'People', grants: [people] })
  const [clerk, viewer] = [await user('People'), await user('viewer')]
  const contact_id = await idOf(call, 'contacts', {
    first_name: 'A',
    last_name: 'B',
    email: 'secret@b.de'
  })
  const about = `user_id=${viewer.user.id}&type=contact&action=read`
  const ask = async (id: number) =>
    (await clerk.call(`GET /api/access/explain?${about}&id=${id}`)).statusCode
  t.same([await ask(contact_id), await ask(999_999)], [404, 404])
  t.match((await clerk.call(`GET /api/access/explain?${about}`)).json(), { allowed: true })

  const models = { resource: 'scoring-models', actions: ['read', 'create'], reach: 'all' }
  await idOf(call, 'roles', { name: 'Scorer', grants: [{ ...read, reach: 'own' }, models] })
  const scorer = await user('Scorer')
  const lead = await idOf(call, 'leads', { contact_id, assigned_to: scorer.user.id })
  const rule = { field: 'contact.email', operator: 'like', value: 'secret', points: 1 }
  const model = await idOf(call, 'scoring-models', { name: 'M', rules: [rule] })
  t.match((await scorer.call(`GET /api/leads/${lead}/score?model=${model}`)).json(), {
    score: 0,
    rules: [{ matched: false, actual: null }]
  })
  const theirs = await idOf(call, 'accounts', { name: 'Parent' })
  const below = await idOf(call, 'accounts', { name: 'Child', parent_account_id: theirs })
  const cycle = await scorer.call(`PATCH /api/accounts/${theirs}`, { parent_account_id: below })
  t.equal(cycle.statusCode, 403, 'the permission comes first')
})

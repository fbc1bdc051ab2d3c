// There is one empty value, and what a read returned can be sent back.
import t from 'tap'
import { application, organization } from '../support/app.ts'

const app = await application(t)
const { call, admin } = await organization(app)

t.test('blank text in a nullable field is null', async t => {
  for (const blank of ['', ' ', '\t\n', '\u00A0']) {
    const contact = { first_name: 'A', last_name: 'B', phone: blank, company: blank, email: blank }
    const created = (await call('POST /api/contacts', contact)).json()
    t.match(created, { phone: null, company: null, email: null }, JSON.stringify(blank))
    await call(`PATCH /api/contacts/${created.id}`, { phone: '1', company: 'Corp' })
    const cleared = await call(`PATCH /api/contacts/${created.id}`, {
      phone: blank,
      company: blank
    })
    t.match(cleared.json(), { phone: null, company: null, version: 3 })
    const again = await call(`PUT /api/contacts/${created.id}`, { phone: blank })
    t.equal(again.json().version, 3, 'clearing an empty field changes nothing')
  }
  t.match((await call('GET /api/contacts?company[null]=true&count=exact')).json(), { total: 4 })
})

t.test('blank text in a required field is refused', async t => {
  for (const [request, body, pointer] of [
    ['POST /api/contacts', { first_name: ' ', last_name: 'B' }, '/first_name'],
    ['POST /api/accounts', { name: '' }, '/name'],
    ['PATCH /api/contacts/1', { last_name: ' ' }, '/last_name']
  ] as const)
    t.match((await call(request, body)).json(), { status: 400, errors: [{ pointer }] }, request)
})

t.test('blank text is null in nested bodies, too', async t => {
  const lead = (await call('POST /api/leads', {})).json()
  const parts = { contact: { first_name: 'A', last_name: 'B', phone: '' }, account: null }
  const converted = await call(`POST /api/leads/${lead.id}/conversion`, parts)
  t.match([converted.statusCode, converted.json().contact.phone], [201, null])
})

t.test('text with characters is stored as received', async t => {
  const contact = { first_name: ' A ', last_name: 'B', company: ' Corp\n' }
  t.match((await call('POST /api/contacts', contact)).json(), contact)
})

t.test('PUT of exactly what GET returned changes nothing', async t => {
  const account = (await call('POST /api/accounts', { name: 'Corp' })).json()
  const contact = (
    await call('POST /api/contacts', { first_name: 'A', last_name: 'B', account_id: account.id })
  ).json()
  const lead = (await call('POST /api/leads', { contact_id: contact.id })).json()
  const sale = (await call('POST /api/opportunities', { title: 'Sale', lead_id: lead.id })).json()
  const links = [{ type: 'contact', id: contact.id }]
  const note = (await call('POST /api/activities', { type: 'note', subject: 'N', links })).json()
  const campaign = (await call('POST /api/campaigns', { name: 'Show' })).json()
  const member = (
    await call('POST /api/campaign-members', { campaign_id: campaign.id, lead_id: lead.id })
  ).json()
  const team = (await call('POST /api/teams', { name: 'Team', member_ids: [admin.user.id] })).json()
  const tag = (await call('POST /api/tags', { name: 'Tag' })).json()
  const model = (await call('POST /api/scoring-models', { name: 'Model' })).json()
  const rule = (
    await call('POST /api/assignment-rules', { name: 'R', resource: 'leads', team_id: team.id })
  ).json()
  const territory = (await call('POST /api/territories', { name: 'T', filter: 'country=A' })).json()
  const [pipeline] = (await call('GET /api/pipelines')).json().data
  const [stage] = (await call('GET /api/stages')).json().data
  for (const path of [
    `accounts/${account.id}`,
    `contacts/${contact.id}`,
    `leads/${lead.id}`,
    `opportunities/${sale.id}`,
    `activities/${note.id}`,
    `campaigns/${campaign.id}`,
    `campaign-members/${member.id}`,
    `teams/${team.id}`,
    `tags/${tag.id}`,
    `scoring-models/${model.id}`,
    `assignment-rules/${rule.id}`,
    `territories/${territory.id}`,
    `pipelines/${pipeline.id}`,
    `stages/${stage.id}`,
    `users/${admin.user.id}`
  ]) {
    const read = (await call(`GET /api/${path}`)).json()
    for (const method of ['PUT', 'PATCH']) {
      const sent = await call(`${method} /api/${path}`, read)
      t.equal(sent.statusCode, 200, `${method} ${path} ${sent.body.slice(0, 300)}`)
      t.same(sent.json(), read, `${method} ${path} changes nothing`)
    }
  }
})

t.test('what GET returned with include or fields can be sent back, too', async t => {
  const { id } = (await call('POST /api/accounts', { name: 'Account' })).json()
  const path = `/api/accounts/${id}`
  for (const query of [
    'include=created_by',
    'fields=id,version',
    'fields=name&include=created_by'
  ]) {
    const read = (await call(`GET ${path}?${query}`)).json()
    const sent = await call(`PUT ${path}`, read)
    t.match([sent.statusCode, sent.json()], [200, { id, version: 1 }], query)
  }
  t.equal((await call(`PUT ${path}`, { version: 2 })).statusCode, 409)
  t.equal((await call(`PUT ${path}`, {})).statusCode, 400)
  const deep = await app.inject({
    method: 'PATCH',
    url: path,
    headers: { authorization: `Bearer ${admin.token}`, 'content-type': 'application/json' },
    payload: `{"id":${'['.repeat(20_000)}${']'.repeat(20_000)}}`
  })
  t.equal(deep.statusCode, 409, 'however deeply nested')
})

t.test('another value of a field that cannot be changed is a 409 with a pointer', async t => {
  const tag = (await call('POST /api/tags', { name: 'Other' })).json()
  for (const [field, value] of [
    ['id', tag.id + 1],
    ['version', 7],
    ['created_at', '2020-01-01T00:00:00.000Z'],
    ['created_by', null],
    ['deleted_at', '2020-01-01T00:00:00.000Z']
  ] as const) {
    const refused = await call(`PATCH /api/tags/${tag.id}`, { name: 'New', [field]: value })
    t.match(
      [refused.statusCode, refused.json()],
      [409, { code: 'conflict', errors: [{ pointer: `/${field}` }] }],
      field
    )
  }
  t.same((await call(`GET /api/tags/${tag.id}`)).json(), tag, 'nothing has changed')
  const sameInstant = { name: 'New', created_at: tag.created_at.replace('Z', '+00:00') }
  t.equal((await call(`PATCH /api/tags/${tag.id}`, sameInstant)).statusCode, 200)
  const unknown = await call(`PATCH /api/tags/${tag.id}`, { name: 'Next', colour: 'red' })
  t.match(unknown.json(), { status: 400, errors: [{ pointer: '/colour', code: 'unknown' }] })
  t.equal((await call('POST /api/tags', { name: 'Third', id: 1 })).statusCode, 400)
})

t.test('a form that is sent back after another change is refused', async t => {
  const tag = (await call('POST /api/tags', { name: 'Form' })).json()
  await call(`PATCH /api/tags/${tag.id}`, { color: '#ffffff' })
  const sent = await call(`PUT /api/tags/${tag.id}`, { ...tag, name: 'Renamed' })
  t.match([sent.statusCode, sent.json().errors[0]], [409, { pointer: '/version' }])
})

t.test('a record sent back with a stale If-Match is a 412 with the current ETag', async t => {
  const tag = (await call('POST /api/tags', { name: 'Stale' })).json()
  const current = await call(`PATCH /api/tags/${tag.id}`, { color: '#ffffff' })
  for (const method of ['PUT', 'PATCH']) {
    const body = { ...tag, name: 'Renamed' }
    const sent = await call(`${method} /api/tags/${tag.id}`, body, { 'if-match': '"1"' })
    t.match([sent.statusCode, sent.headers.etag], [412, '"2"'], method)
    const fixed = await call(`${method} /api/tags/${tag.id}`, body, { 'if-match': '"1", "2"' })
    t.equal(fixed.statusCode, 409, `${method} with the current version`)
  }
  t.same((await call(`GET /api/tags/${tag.id}`)).json(), current.json(), 'nothing has changed')
})

// Fields that roles hide or protect: no verb, report or rule gets around that.
import t from 'tap'
import { application, organization } from '../../support/app.ts'
import { everything, hiding, protecting, userWith } from '../../support/field-rights.ts'

const app = await application(t)

t.test('other verbs keep to it: qualification, completion, conversion', async t => {
  const organized = await organization(app)
  const rights = [
    protecting('activities', 'description'),
    { ...protecting('contacts', 'account_id'), hidden_fields: ['company'] },
    { ...protecting('accounts', 'website'), hidden_fields: ['phone'] },
    hiding('opportunities', 'amount')
  ]
  const { call } = await userWith(organized, [
    ...rights,
    { resource: 'leads', actions: everything, reach: 'all' }
  ])
  const bound = await userWith(organized, [...rights, protecting('leads', 'status')])
  const blind = await userWith(organized, [...rights, hiding('leads', 'status')])
  const admin = organized.call
  const contact = { first_name: 'Eva', last_name: 'Ek', company: 'Secret AB' }
  const { id: contact_id } = (await admin('POST /api/contacts', contact)).json()
  const { id: lead } = (await admin('POST /api/leads', { contact_id })).json()
  const { id: activity } = (
    await admin('POST /api/activities', { type: 'call', subject: 'Call' })
  ).json()

  t.match((await bound.call(`POST /api/leads/${lead}/qualification`, {})).json(), {
    status: 403,
    errors: [{ pointer: '/outcome' }]
  })
  const done = await call(`POST /api/activities/${activity}/completion`, { description: 'x' })
  t.match(done.json(), { status: 403, errors: [{ pointer: '/description' }] })
  t.equal((await call(`POST /api/activities/${activity}/completion`, {})).statusCode, 200)

  const convert = async (wish: object) => await call(`POST /api/leads/${lead}/conversion`, wish)
  t.match((await convert({ account: { name: 'A', phone: '1234567' } })).json(), {
    status: 400,
    errors: [{ pointer: '/account/phone', code: 'unknown' }]
  })
  t.match((await convert({ account: { name: 'A', website: 'https://a.example' } })).json(), {
    status: 403,
    errors: [{ pointer: '/account/website' }]
  })
  const path = `/api/leads/${lead}/conversion`
  t.match((await bound.call(`POST ${path}`, {})).json(), {
    status: 403,
    errors: [{ pointer: '/status' }]
  })
  t.equal((await blind.call(`POST ${path}`, {})).statusCode, 403)
  const converted = await convert({})
  t.equal(converted.statusCode, 201)
  t.equal((await bound.call(`DELETE ${path}`)).statusCode, 403)
  t.equal((await bound.call(`GET ${path}`)).statusCode, 200)
  t.equal((await blind.call(`GET ${path}`)).statusCode, 403, 'whether it is converted is hidden')
  t.equal(converted.json().account, null, 'a hidden company names no account')
  t.notOk('amount' in converted.json().opportunity)
  t.notOk('company' in converted.json().contact)
  t.notMatch((await call(`GET /api/leads/${lead}/conversion`)).body, 'Secret AB')
  t.notMatch((await call(`GET /api/contacts/${contact_id}/timeline`)).body, 'Secret AB')
})

t.test('reports and results that need what is hidden are refused', async t => {
  const organized = await organization(app)
  const { id } = (await organized.call('POST /api/campaigns', { name: 'C' })).json()
  const { call } = await userWith(organized, [
    { resource: 'records', actions: ['create'], reach: 'all' },
    hiding('opportunities', 'amount'),
    hiding('leads', 'score'),
    hiding('activities'),
    hiding('campaigns'),
    hiding('campaign-members')
  ])
  const status = async (request: string) => (await call(`GET /api/${request}`)).statusCode
  t.equal(await status('reports/pipeline'), 403)
  t.equal(await status('reports/forecast'), 403)
  t.equal(await status('reports/sources'), 403)
  t.equal(await status('reports/funnel'), 200, 'it counts stages only')
  t.equal(await status('reports/activity'), 200)
  t.equal(await status(`campaigns/${id}/results`), 403)
  const { id: sale } = (await organized.call('POST /api/opportunities', { title: 'S' })).json()
  for (const field of ['stage', 'moved_at', 'pipeline_id']) {
    const { call: other } = await userWith(organized, [hiding('opportunities', field)])
    t.equal((await other(`GET /api/opportunities/${sale}/moves`)).statusCode, 403, field)
  }
})

t.test('bulk verbs keep to read-only fields', async t => {
  const organized = await organization(app)
  const { call } = await userWith(organized, [
    ...['campaigns', 'leads', 'contacts', 'opportunities'].map(one => protecting(one)),
    protecting('campaign-members', 'contact_id'),
    protecting('accounts', 'name')
  ])
  const contact = { first_name: 'Eva', last_name: 'Ek', company: 'A new company' }
  const { id: contact_id } = (await organized.call('POST /api/contacts', contact)).json()
  const { id: lead } = (await organized.call('POST /api/leads', { contact_id })).json()
  t.match((await call(`POST /api/leads/${lead}/conversion`, {})).json(), {
    status: 403,
    errors: [{ pointer: '/account/name' }]
  })
  const { id } = (await organized.call('POST /api/campaigns', { name: 'C' })).json()
  const add = async (resource: string) =>
    (await call(`POST /api/campaigns/${id}/members`, { resource, filter: '' })).json()
  t.match(await add('contacts'), { status: 403, errors: [{ pointer: '/contact_id' }] })
  t.match(await add('leads'), { added: 1 })
})

t.test('filters by the past of a hidden field are unknown', async t => {
  const organized = await organization(app)
  const { call } = await userWith(organized, [
    hiding('leads', 'status'),
    hiding('opportunities', 'stage')
  ])
  for (const request of ['leads?entered_status=new', 'opportunities?entered_stage=won']) {
    t.equal((await organized.call(`GET /api/${request}`)).statusCode, 200, request)
    t.match((await call(`GET /api/${request}`)).json(), {
      status: 400,
      errors: [{ code: 'unknown' }]
    })
  }
})

t.test('timelines and includes leave hidden fields of activities out', async t => {
  const organized = await organization(app)
  const contact = { first_name: 'Eva', last_name: 'Ek' }
  const { id } = (await organized.call('POST /api/contacts', contact)).json()
  const links = [{ type: 'contact', id }]
  const activity = { type: 'call', subject: 'Call', location: 'Secret place', links }
  await organized.call('POST /api/activities', activity)
  const { call } = await userWith(organized, [
    { resource: 'contacts', actions: everything, reach: 'all' },
    hiding('activities', 'location', 'due_at', 'tags', 'assigned_to', 'priority')
  ])
  for (const request of [`contacts/${id}/timeline`, `contacts/${id}?include=activities`]) {
    const answer = await call(`GET /api/${request}`)
    t.equal(answer.statusCode, 200, request)
    t.match(answer.body, '"subject":"Call"')
    t.notMatch(answer.body, 'Secret place')
  }
})

t.test('a stage requires no field that who sets it up does not see', async t => {
  const organized = await organization(app)
  const { call } = await userWith(organized, [
    { resource: 'settings', actions: everything, reach: 'all' },
    hiding('opportunities', 'amount')
  ])
  const stages = (await organized.call('GET /api/stages?limit=1')).json().data
  const stage = { pipeline_id: stages[0].pipeline_id, key: 'x', name: 'X', probability: 5 }
  const required_fields = ['amount']
  const refused = { status: 400, errors: [{ pointer: '/required_fields/0' }] }
  t.match((await call('POST /api/stages', { ...stage, required_fields })).json(), refused)
  const path = `/api/stages/${stages[0].id}`
  t.match((await call(`PATCH ${path}`, { required_fields })).json(), refused)
  const pipeline = { name: 'P', stages: [{ key: 'y', name: 'Y', probability: 5, required_fields }] }
  t.match((await call('POST /api/pipelines', pipeline)).json(), {
    errors: [{ pointer: '/stages/0/required_fields/0' }]
  })
  await organized.call(`PATCH ${path}`, { required_fields })
  t.equal((await call(`PATCH ${path}`, { required_fields })).statusCode, 200, 'it may stay')
})

t.test('stored filters and rules do not tell it either', async t => {
  const organized = await organization(app)
  const admin = organized.call
  const contact = { first_name: 'Eva', last_name: 'Ek', company: 'Secret AB' }
  const { id: contact_id } = (await admin('POST /api/contacts', contact)).json()
  const { id: lead } = (await admin('POST /api/leads', { contact_id })).json()
  const { id: account } = (await admin('POST /api/accounts', { name: 'A', country: 'SE' })).json()
  const territory = { name: 'Sweden', filter: 'country=SE' }
  const { id: territory_id } = (await admin('POST /api/territories', territory)).json()
  const { id: campaign } = (await admin('POST /api/campaigns', { name: 'C' })).json()
  const rules = [{ field: 'contact.company', operator: 'eq', value: 'Secret AB', points: 5 }]
  await admin('POST /api/scoring-models', { name: 'M', rules, status: 'active' })
  const { call } = await userWith(organized, [
    { resource: 'settings', actions: everything, reach: 'all' },
    hiding('contacts', 'company'),
    hiding('accounts', 'country'),
    { resource: 'leads', actions: everything, reach: 'all' },
    { resource: 'campaigns', actions: everything, reach: 'all' },
    { resource: 'campaign-members', actions: everything, reach: 'all' }
  ])
  const members = { resource: 'contacts', filter: 'company=Secret AB' }
  t.equal((await call(`POST /api/campaigns/${campaign}/members`, members)).statusCode, 422)
  t.equal((await call('POST /api/territories', { ...territory, name: 'T' })).statusCode, 422)
  t.equal((await call(`GET /api/accounts?territory_id=${territory_id}`)).statusCode, 403)
  t.equal((await call(`GET /api/accounts/${account}/territories`)).statusCode, 403)
  t.equal((await call('POST /api/scoring-models', { name: 'N', rules })).statusCode, 422)
  const score = (await call(`GET /api/leads/${lead}/score`)).json()
  t.match(score.rules, [{ matched: false, actual: null }])
  t.match((await admin(`GET /api/leads/${lead}/score`)).json().rules, [{ matched: true }])
})

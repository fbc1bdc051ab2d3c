// Fields that roles hide or protect: nowhere to be seen, asked for or changed.
import t, { type Test } from 'tap'
import { allResources, targetsOf } from '../../../src/core/records/resource.ts'
import { hideableFields } from '../../../src/core/records/visibility.ts'
import { application, organization, type Call } from '../../support/app.ts'
import { documentOf } from '../../support/document.ts'
import { ours, plant } from '../../support/plant.ts'
import { readAll } from '../../support/reads.ts'

const app = await application(t)

const everything = ['read', 'create', 'update', 'delete', 'export'] as const
const settings = { resource: 'settings', actions: ['read'], reach: 'all' }
const recordResources = allResources().filter(
  ({ schema, access }) => schema && (access === undefined || access === 'shared')
)

/** A user whose only role has these grants, beside reading settings. */
async function userWith(
  { call, user }: Awaited<ReturnType<typeof organization>>,
  grants: object[]
) {
  const role = { name: `role ${Math.random()}`, grants: [settings, ...grants] }
  const created = await call('POST /api/roles', role)
  if (created.statusCode !== 201) throw new Error(created.body)
  const one = await user('user')
  await call(`PATCH /api/users/${one.user.id}`, { role_ids: [created.json().id] })
  return one
}

const hiding = (resource: string, ...hidden_fields: string[]) => ({
  resource,
  actions: everything,
  reach: 'all',
  hidden_fields
})
const protecting = (resource: string, ...read_only_fields: string[]) => ({
  resource,
  actions: everything,
  reach: 'all',
  read_only_fields
})

t.test('what a role hides is in no answer to anything', async t => {
  const organized = await organization(app)
  const { call } = organized
  const ids = await plant(call, ours)
  for (const path of ['contacts', 'leads', 'accounts', 'opportunities', 'activities'])
    await call(`PATCH /api/${path}/${ids[path]}`, { assigned_to: null })
  await call(`POST /api/leads/${ids.leads}/conversion`, {})
  // what related records are included by stays, so that these are included
  const hidden = new Map(
    recordResources.map(resource => {
      const fields = hideableFields(resource).filter(field => !targetsOf(resource).has(field))
      return [resource.path, fields] as const
    })
  )
  const marks = await marksOf(call, ids, hidden)
  t.ok(marks.length > 5, `${marks.length} hidden texts`)
  const grants = [...hidden].map(([path, fields]) => hiding(path, ...fields))
  const { call: blind } = await userWith(organized, grants)

  const seen = [...(await readAll(app, call, ids)).values()].join('\n')
  for (const mark of marks) t.match(seen, mark, `an admin sees ${mark}`)
  for (const [request, answer] of await readAll(app, blind, ids)) {
    const shown = marks.filter(mark => answer.includes(mark))
    if (shown.length > 0) t.same(shown, [], request)
    if (!/^(200|403|404)/.test(answer)) t.match(answer.slice(0, 300), /^200/, request)
  }
  for (const [path, fields] of hidden) {
    if (!ids[path]) continue
    const one = `/api/${path}/${ids[path]}`
    const { data } = (await blind(`GET /api/${path}`)).json()
    const { data: events } = (await blind(`GET ${one}/history`)).json()
    const records = [
      (await blind(`GET ${one}`)).json(),
      (await blind(`PATCH ${one}`, { id: ids[path] })).json(),
      ...data,
      ...events.flatMap(({ before, after }: { before: object; after: object }) => [before, after])
    ].filter(Boolean)
    for (const record of records)
      t.same(
        fields.filter(field => field in record),
        [],
        path
      )
    for (const { changed } of events) t.notOk(fields.some(field => changed.includes(field)))
    const csv = await blind(`GET /api/${path}`, undefined, { accept: 'text/csv' })
    const header = csv.body.split('\r\n')[0]!.split(',')
    t.notOk(
      fields.some(field => header.includes(field)),
      `${path} as CSV`
    )
    t.ok(header.includes('id'), csv.body.slice(0, 100))
  }
})

/** The texts of the hidden fields that nothing else has. */
async function marksOf(
  call: Call,
  ids: Record<string, number>,
  hidden: Map<string, string[]>
): Promise<string[]> {
  const marks: string[] = []
  for (const [path, fields] of hidden) {
    if (!ids[path]) continue
    const record = (await call(`GET /api/${path}/${ids[path]}`)).json()
    for (const field of fields) {
      const own = `${ours.word}_${field}`
      if (field === 'stage') continue // settings have it too
      if (record[field] === own && !isShownElsewhere(field, path, hidden)) marks.push(own)
    }
  }
  return [...new Set(marks)]
}

/** Whether another resource has a field of this name that cannot be hidden. */
const isShownElsewhere = (field: string, path: string, hidden: Map<string, string[]>): boolean =>
  allResources().some(
    other =>
      other.path !== path &&
      field in (other.schema?.properties ?? {}) &&
      !hidden.get(other.path)?.includes(field)
  )

t.test('nor can anything be asked about it', async t => {
  const organized = await organization(app)
  await plant(organized.call, ours)
  const grants = recordResources.map(one => hiding(one.path, ...hideableFields(one)))
  const { call: blind } = await userWith(organized, grants)
  let asked = 0
  for (const [path, { get }] of Object.entries(documentOf(app).paths)) {
    const resource = recordResources.find(one => `/api/${one.path}` === path)
    if (!resource) continue
    const hidden = hideableFields(resource)
    const related = Object.entries(resource.relatedRecords()).flatMap(([name, { to }]) =>
      hideableFields(to).map(field => `${name}.${field}`)
    )
    for (const { name, example } of get!.parameters ?? []) {
      const field = name.split('[')[0]!
      if (![...hidden, ...related].includes(field)) continue
      const query = new URLSearchParams({ [name]: String(example) })
      const answer = await blind(`GET ${path}?${query.toString()}`)
      asked++
      t.equal(answer.statusCode, 400, `${path} by ${name}`)
      t.match(answer.json().errors, [{ parameter: name, code: 'unknown' }], 'as if it were unknown')
    }
    for (const field of hidden) {
      t.equal((await blind(`GET ${path}?fields=${field}`)).statusCode, 400, `${path}: ${field}`)
      if (resource.sorts?.includes(field))
        t.equal((await blind(`GET ${path}?sort=-${field}`)).statusCode, 400, `sorted by ${field}`)
      for (const [name, included] of Object.entries(resource.include ?? {}))
        if (included === field)
          t.equal((await blind(`GET ${path}?include=${name}`)).statusCode, 400, `with ${name}`)
      const found = (await blind(`GET ${path}?q=${ours.word}_${field}`)).json()
      if (resource.search?.includes(field)) t.same(found.data, [], `${path}: search in ${field}`)
    }
  }
  t.ok(asked > 60, `${asked} filters`)
})

t.test('a search finds by what is seen, also of related records', async t => {
  const organized = await organization(app)
  const contact = {
    first_name: 'Eva',
    last_name: 'Ek',
    phone: '+46 70 123 45 67',
    email: 'e@ek.se'
  }
  const { id: contact_id } = (await organized.call('POST /api/contacts', contact)).json()
  await organized.call('POST /api/leads', { contact_id })
  const { call } = await userWith(organized, [
    hiding('contacts', 'email'),
    { resource: 'leads', actions: ['read'], reach: 'all' }
  ])
  const count = async (request: string) => (await call(`GET /api/${request}`)).json().data.length
  t.equal(await count('contacts?q=eva'), 1)
  t.equal(await count('contacts?q=0701234567'), 1, 'a phone number in another notation')
  t.equal(await count('contacts?q=ek.se'), 0)
  t.equal(await count('leads?q=eva'), 1)
  t.equal(await count('leads?q=ek.se'), 0)
  t.equal((await call('GET /api/leads?contact.email=e@ek.se')).statusCode, 400)
})

t.test('what is hidden cannot be set, what is read-only is refused with its place', async t => {
  const organized = await organization(app)
  const body = { first_name: 'Eva', last_name: 'Ek', phone: '+46701234567', company: 'Ek AB' }
  const { id } = (await organized.call('POST /api/contacts', body)).json()
  const grant = { ...protecting('contacts', 'company', 'last_name'), hidden_fields: ['phone'] }
  const { call } = await userWith(organized, [grant])
  const one = `/api/contacts/${id}`

  const unseen = await call(`PATCH ${one}`, { phone: '+46709999999', first_name: 'Eve' })
  t.match(unseen.json(), { status: 400, errors: [{ pointer: '/phone', code: 'unknown' }] })
  const refused = await call(`PATCH ${one}`, { company: 'Other', first_name: 'Eve' })
  t.match(refused.json(), { status: 403, errors: [{ pointer: '/company', code: 'forbidden' }] })
  t.equal((await call('POST /api/contacts', body)).statusCode, 400)
  const { phone: _, ...visible } = body
  t.equal((await call('POST /api/contacts', visible)).statusCode, 403)
  t.match((await organized.call(`GET ${one}`)).json(), { ...body, version: 1 }, 'nothing changed')

  const { included: _i, ...read } = (await call(`GET ${one}`)).json()
  const saved = await call(`PUT ${one}`, { ...read, first_name: 'Eve' })
  t.match(saved.json(), { first_name: 'Eve', company: 'Ek AB', version: 2 }, 'repeated as it was')
  t.notOk('phone' in saved.json())
  t.match((await organized.call(`GET ${one}`)).json(), { phone: body.phone }, 'and nothing is lost')
  const repeated = await call(`PATCH ${one}`, { company: 'Ek AB' })
  t.match(repeated.json(), { version: 2 }, 'what is unchanged may be sent alone')
})

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

t.test('the cache tells nobody what they do not see', async t => {
  const organized = await organization(app)
  const body = { first_name: 'Eva', last_name: 'Ek', phone: '+46701234567' }
  const { id } = (await organized.call('POST /api/contacts', body)).json()
  const { call } = await userWith(organized, [hiding('contacts', 'phone')])
  for (const round of ['a', 'b']) {
    t.ok('phone' in (await organized.call(`GET /api/contacts/${id}`)).json(), round)
    t.notOk('phone' in (await call(`GET /api/contacts/${id}`)).json(), round)
  }
})

t.test('of several grants and roles the most permissive counts, by field', async t => {
  const organized = await organization(app)
  const roleOf = async (grant: object) =>
    (await organized.call('POST /api/roles', { name: `r${Math.random()}`, grants: [grant] })).json()
      .id as number
  const first = await roleOf(hiding('contacts', 'phone', 'email'))
  const second = await roleOf({ ...protecting('contacts', 'company'), hidden_fields: ['phone'] })
  const { user, call } = await organized.user('user')
  const rights = async () => {
    const answer = await call('GET /api/access/explain?type=contact&action=read')
    const { hidden_fields, read_only_fields } = answer.json()
    return { hidden_fields, read_only_fields }
  }
  const give = async (...role_ids: number[]) =>
    await organized.call(`PATCH /api/users/${user.id}`, { role_ids })
  await give(first)
  t.same(await rights(), { hidden_fields: ['email', 'phone'], read_only_fields: [] })
  await give(first, second)
  t.same(await rights(), { hidden_fields: ['phone'], read_only_fields: [] })
  await give(second)
  t.same(await rights(), { hidden_fields: ['phone'], read_only_fields: ['company'] })
  await give(second, await roleOf({ resource: 'records', actions: ['read'], reach: 'own' }))
  t.same(await rights(), { hidden_fields: [], read_only_fields: ['company', 'phone'] })
})

t.test('roles hide only what they can, and give no field away', async t => {
  const organized = await organization(app)
  const attempt = async (call: Call, grant: object) =>
    (await call('POST /api/roles', { name: `r${Math.random()}`, grants: [grant] })).json()
  const refusals: [object, string][] = [
    [hiding('contacts', 'last_name'), '/grants/0/hidden_fields/0'],
    [hiding('contacts', 'phone', 'nothing'), '/grants/0/hidden_fields/1'],
    [hiding('records', 'phone'), '/grants/0/hidden_fields/0'],
    [hiding('activities', 'status'), '/grants/0/hidden_fields/0'],
    [hiding('stages', 'name'), '/grants/0/hidden_fields/0'],
    [protecting('contacts', 'created_at'), '/grants/0/read_only_fields/0']
  ]
  for (const [grant, pointer] of refusals)
    t.match(await attempt(organized.call, grant), { status: 422, errors: [{ pointer }] })

  const administration = { resource: 'administration', actions: everything, reach: 'all' }
  const { call } = await userWith(organized, [administration, hiding('contacts', 'phone')])
  t.match(await attempt(call, hiding('contacts')), { status: 403 }, 'more than one sees')
  t.match(await attempt(call, hiding('contacts', 'phone', 'email')), { name: /./ }, 'or less')
})

t.test('an API token sees what its owner sees', async (t: Test) => {
  const organized = await organization(app)
  const body = { first_name: 'Eva', last_name: 'Ek', phone: '+46701234567' }
  const { id } = (await organized.call('POST /api/contacts', body)).json()
  const { call } = await userWith(organized, [hiding('contacts', 'phone')])
  const created = await call('POST /api/api-tokens', { name: 'T', scopes: ['contacts:read'] })
  const headers = { authorization: `Bearer ${created.json().token}` }
  const answer = await app.inject({ url: `/api/contacts/${id}`, headers })
  t.equal(answer.statusCode, 200)
  t.notOk('phone' in answer.json())
})

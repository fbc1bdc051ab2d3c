// Records that are created unless there is one with the same value.
import t from 'tap'
import { application, organization, ownerOf, type Call } from '../../support/app.ts'
import { everything, hiding, protecting, userWith } from '../../support/field-rights.ts'

const app = await application(t)
const person = { first_name: 'Zoë', last_name: 'Müller', email: 'zoe@example.com' }

const create = async (call: Call, path: string, body: object) => {
  const answer = await call(`POST /api/${path}`, body)
  if (answer.statusCode !== 201) throw new Error(answer.body)
  return answer.json()
}
const total = async (call: Call, path: string) =>
  (await call(`GET /api/${path}?count=exact&limit=1`)).json().total
const byEmail = 'POST /api/contacts?match=email'

t.test('match=email creates a contact, then updates it', async t => {
  const { call } = await organization(app)
  const created = await call(byEmail, person)
  const { id } = created.json()
  t.equal(created.statusCode, 201)
  t.equal(created.headers.location, `/api/contacts/${id}`)
  t.equal(created.headers.etag, '"1"')
  const updated = await call(`${byEmail}&fields=id,position,version&include=created_by`, {
    ...person,
    email: 'ZOE@EXAMPLE.com',
    position: 'CTO'
  })
  t.match(
    [updated.statusCode, updated.headers.location, updated.headers.etag, updated.json()],
    [200, undefined, '"2"', { id, position: 'CTO', version: 2, included: {} }]
  )
  const same = await call(byEmail, { ...person, email: 'ZOE@EXAMPLE.com' })
  t.match([same.statusCode, same.headers.etag], [200, '"2"'], 'nothing changes: no new version')
  const idn = await create(call, 'contacts', { ...person, email: 'info@müller.example' })
  const ascii = { ...person, email: 'info@xn--mller-kva.example' }
  t.equal((await call(byEmail, ascii)).json().id, idn.id)
})

t.test('on_match=fill sets what is null, keep leaves the record as it is', async t => {
  const { call } = await organization(app)
  const before = await create(call, 'contacts', {
    ...person,
    company: 'Acme',
    external_ids: { crm: '1' }
  })
  const input = {
    ...person,
    company: 'Other',
    phone: '+1 234',
    tags: [],
    external_ids: { crm: '2', erp: 'A-1' }
  }
  const kept = await call(`${byEmail}&on_match=keep`, input)
  t.same([kept.statusCode, kept.json()], [200, before])
  const filled = await call(`${byEmail}&on_match=fill`, input)
  t.match([filled.statusCode, filled.json()], [200, { company: 'Acme', phone: '+1 234' }])
  t.same(filled.json().external_ids, { crm: '1', erp: 'A-1' })
  const again = await call(`${byEmail}&on_match=fill`, input)
  t.equal(again.json().version, 2, 'nothing is left to fill')
})

t.test('several matches are a 409 with them, and nothing is written', async t => {
  const { call } = await organization(app)
  const [first, second] = [
    await create(call, 'contacts', person),
    await create(call, 'contacts', { ...person, first_name: 'Z' })
  ]
  const answer = await call(byEmail, { ...person, position: 'CTO' })
  t.match(answer.json(), {
    status: 409,
    code: 'ambiguous_match',
    matches: [
      { type: 'contact', id: first.id, name: 'Zoë Müller', by: ['email'] },
      { type: 'contact', id: second.id, name: 'Z Müller', by: ['email'] }
    ]
  })
  t.equal(await total(call, 'contacts'), 2)
})

t.test('a deleted match is a 409, unless on_deleted says what to do', async t => {
  const { call } = await organization(app)
  const { id } = await create(call, 'contacts', { ...person, external_ids: { erp: 'A-1' } })
  await call(`DELETE /api/contacts/${id}`)
  const input = { ...person, position: 'CTO', external_ids: { erp: 'A-1' } }
  const byErp = 'POST /api/contacts?match=external:erp'
  for (const [request, by] of [
    [byEmail, 'email'],
    [byErp, 'external_ids/erp']
  ]) {
    const refused = await call(request!, input)
    t.match(refused.json(), { status: 409, code: 'deleted_match', matches: [{ id, by: [by] }] })
  }
  const put = await call('PUT /api/contacts/external/erp/A-1', person)
  t.match(put.json(), { status: 409, code: 'deleted_match' })

  const restored = await call(`${byErp}&on_deleted=restore`, input)
  t.match([restored.statusCode, restored.json()], [200, { id, position: 'CTO', deleted_at: null }])
  await call(`DELETE /api/contacts/${id}`)
  const created = await call(`${byErp}&on_deleted=create`, input)
  t.equal(created.statusCode, 201)
  t.not(created.json().id, id)
  t.match((await call(`POST /api/contacts/${id}/restore`)).json(), {
    status: 409,
    code: 'duplicate',
    errors: [{ pointer: '/external_ids/erp' }]
  })
  t.equal((await call(byErp, input)).json().id, created.json().id, 'the bin is not asked')
})

t.test('what does not belong together is a 400', async t => {
  const { call } = await organization(app)
  const refused = async (query: string, body: object, place: object) => {
    const answer = await call(`POST /api/contacts?${query}`, body)
    t.match(answer.json(), { status: 400, errors: [place] }, query)
  }
  await refused('on_match=fill', person, { parameter: 'on_match' })
  await refused('on_deleted=restore', person, { parameter: 'on_deleted' })
  await refused('match=phone', person, { parameter: 'match' })
  await refused('match=external:', person, { parameter: 'match' })
  await refused('match=email', { ...person, email: null }, { pointer: '/email' })
  await refused('match=email', { ...person, email: ' ' }, { pointer: '/email' })
  const named = { first_name: 'A', last_name: 'B' }
  await refused('match=email', named, { pointer: '/email', code: 'required' })
  for (const external_ids of [undefined, null, {}, { crm: '1' }, { erp: null }])
    await refused(
      'match=external:erp',
      { ...named, external_ids },
      { pointer: '/external_ids/erp' }
    )
  t.equal((await call('POST /api/accounts?match=email', { name: 'A' })).statusCode, 400)
  t.equal(await total(call, 'contacts'), 0)
})

t.test('PUT at an external ID creates a record, then updates it', async t => {
  const { call } = await organization(app)
  const path = '/api/accounts/external/erp/A%2F1'
  t.match((await call(`PUT ${path}`, {})).json(), {
    status: 400,
    errors: [{ pointer: '/name', code: 'required' }]
  })
  const created = await call(`PUT ${path}`, { name: 'Acme', external_ids: { crm: '7' } })
  t.equal(created.statusCode, 201)
  const account = created.json()
  t.equal(created.headers.location, `/api/accounts/${account.id}`)
  t.same(account.external_ids, { erp: 'A/1', crm: '7' })
  const updated = await call(`PUT ${path}`, { city: 'Bern' })
  t.match([updated.statusCode, updated.headers.etag], [200, '"2"'])
  t.match(updated.json(), { id: account.id, name: 'Acme', city: 'Bern' })
  t.equal((await call(`PUT ${path}`, {})).json().version, 2)
  const read = (await call(`GET ${path}`)).json()
  t.same((await call(`PUT ${path}`, read)).json(), read, 'it can be put as it was read')
  t.match((await call(`PUT ${path}`, { ...read, id: 99 })).json(), { status: 409 })
  t.equal((await call('PUT /api/accounts/external/erp/new', read)).statusCode, 400)
  for (const external_ids of [null, { erp: null }, { erp: 'B' }])
    t.equal((await call(`PUT ${path}`, { external_ids })).statusCode, 400)
})

t.test('If-Match on PUT is for a record that is there, in this version', async t => {
  const { call } = await organization(app)
  const path = 'PUT /api/tags/external/erp/1'
  for (const tag of ['"1"', '*'])
    t.equal((await call(path, { name: 'A' }, { 'if-match': tag })).statusCode, 412, tag)
  t.equal(await total(call, 'tags'), 0)
  await call(path, { name: 'A' })
  const stale = await call(path, { name: 'B' }, { 'if-match': '"2"' })
  t.match([stale.statusCode, stale.headers.etag], [412, '"1"'])
  t.equal((await call(path, { name: 'B' }, { 'if-match': '"1"' })).json().version, 2)
  t.equal((await call(path, { name: 'C' }, { 'if-match': '*' })).json().version, 3)
})

t.test('an upsert has the rules, scores and assignments of a creation and a change', async t => {
  const { call, admin } = await organization(app)
  const team = await create(call, 'teams', { name: 'T', member_ids: [admin.user.id] })
  for (const resource of ['leads', 'accounts', 'opportunities'])
    await create(call, 'assignment-rules', {
      name: resource,
      resource,
      team_id: team.id,
      status: 'active'
    })
  await create(call, 'scoring-models', {
    name: 'M',
    status: 'active',
    rules: [{ field: 'source', operator: 'eq', value: 'fair', points: 60 }]
  })
  const put = async (path: string, body: object) =>
    (await call(`PUT /api/${path}/external/erp/1`, body)).json()
  const assigned_to = admin.user.id
  t.match(await put('leads', { source: 'fair' }), { score: 60, assigned_to })
  t.match(await put('leads', { source: 'web' }), { score: 0, version: 2 })
  t.match(await put('leads', { score: 5 }), { status: 422 })
  t.match(await put('accounts', { name: 'Acme' }), { assigned_to })
  const parent = await create(call, 'accounts', { name: 'Parent' })
  t.match(await put('accounts', { parent_account_id: parent.id }), { version: 2 })
  t.match(await put('opportunities', { title: 'Sale' }), { assigned_to, status: 'open' })
  t.match(await put('opportunities', { stage: 'won' }), { status: 'won', probability: 100 })
  t.match(await put('activities', { type: 'note', subject: 'N' }), { status: 'completed' })
  const backwards = { name: 'C', start_date: '2027-01-02', end_date: '2027-01-01' }
  t.match(await put('campaigns', { ...backwards, type: 'email' }), { status: 422 })
  for (const path of ['leads', 'accounts', 'opportunities', 'activities']) {
    const { id } = (await call(`GET /api/${path}/external/erp/1`)).json()
    await call(`DELETE /api/${path}/${id}`)
    const restored = await call(`PUT /api/${path}/external/erp/1?on_deleted=restore`, {})
    t.match([restored.statusCode, restored.json().id], [200, id], `${path} can be restored`)
  }
  const { data } = (await call('GET /api/leads?external[erp]=1')).json()
  const { data: events } = (await call(`GET /api/leads/${data[0].id}/history`)).json()
  t.match(events.at(-1), { type: 'lead.created', after: { external_ids: { erp: '1' } } })
})

t.test('what the caller does not read is no match', async t => {
  const organized = await organization(app)
  const theirs = await create(organized.call, 'contacts', {
    ...person,
    external_ids: { erp: 'A-1' }
  })
  const { call } = await userWith(organized, [
    { resource: 'contacts', actions: everything, reach: 'own' }
  ])
  t.equal((await call('GET /api/contacts/external/erp/A-1')).statusCode, 404)
  const put = await call('PUT /api/contacts/external/erp/A-1', person)
  t.match(put.json(), { status: 409, code: 'duplicate' })
  t.notMatch(put.body, /matches/)
  const own = await call(byEmail, person)
  t.equal(own.statusCode, 201, 'an email address is not unique')
  t.not(own.json().id, theirs.id)
  t.equal((await call(byEmail, person)).json().id, own.json().id)
  const other = await organization(app)
  t.equal((await other.call('GET /api/contacts/external/erp/A-1')).statusCode, 404)
  t.equal((await other.call('PUT /api/contacts/external/erp/A-1', person)).statusCode, 201)
})

t.test('an upsert needs the right to what it does', async t => {
  const organized = await organization(app)
  const { id } = await create(organized.call, 'contacts', {
    ...person,
    external_ids: { erp: 'A-1' }
  })
  const path = 'PUT /api/contacts/external/erp'
  const as = async (...grants: object[]) =>
    (
      await userWith(
        organized,
        grants.map(grant => ({ resource: 'contacts', ...grant }))
      )
    ).call
  const all = { reach: 'all' }
  const creator = await as({ actions: ['read', 'create'], ...all })
  t.equal((await creator(byEmail, { ...person, position: 'CTO' })).statusCode, 403)
  t.equal((await creator(`${byEmail}&on_match=keep`, person)).statusCode, 200)
  t.equal((await creator(byEmail, { ...person, email: 'n@example.com' })).statusCode, 201)
  t.equal((await creator(`${path}/A-1`, person)).statusCode, 403)
  const editor = await as({ actions: ['read', 'update'], ...all })
  t.equal((await editor(`${path}/A-1`, { position: 'CFO' })).statusCode, 200)
  t.equal((await editor(`${path}/A-2`, person)).statusCode, 403)
  const narrow = await as(
    { actions: ['read', 'create'], ...all },
    { actions: ['update'], reach: 'own' }
  )
  for (const body of [person, { ...person, position: 'CEO' }])
    t.equal((await narrow(byEmail, body)).statusCode, 403, 'it is read, but not theirs to change')
  await organized.call(`DELETE /api/contacts/${id}`)
  t.equal((await editor(`${path}/A-1?on_deleted=restore`, person)).statusCode, 403)
})

t.test('hidden and read-only fields are so for upserts', async t => {
  const organized = await organization(app)
  await create(organized.call, 'contacts', { ...person, external_ids: { erp: 'A-1' } })
  const { call: blind } = await userWith(organized, [hiding('contacts', 'external_ids', 'email')])
  const named = { first_name: 'A', last_name: 'B' }
  const unknown = async (request: string, body?: object) => {
    const answer = await blind(request, body)
    t.match(answer.json(), { status: 400, errors: [{ code: 'unknown' }] }, request)
  }
  await unknown('GET /api/contacts?external[erp]=A-1')
  await unknown('GET /api/contacts?external[erp][in]=A-1')
  await unknown('POST /api/contacts?match=external:erp', named)
  await unknown('POST /api/contacts?match=email', named)
  await unknown('POST /api/contacts', { ...named, external_ids: { erp: '1' } })
  for (const value of ['A-1', 'A-2']) {
    t.equal((await blind(`GET /api/contacts/external/erp/${value}`)).statusCode, 404)
    t.equal((await blind(`PUT /api/contacts/external/erp/${value}`, named)).statusCode, 404)
  }
  const { call: bound } = await userWith(organized, [
    protecting('contacts', 'external_ids', 'position')
  ])
  const path = 'PUT /api/contacts/external/erp/A-1'
  t.equal((await bound(path, { company: 'Acme' })).statusCode, 200, 'the ID itself is repeated')
  t.equal((await bound(path, { position: null })).statusCode, 200, 'unchanged')
  t.equal((await bound(path, { position: 'CTO' })).statusCode, 403)
  t.equal((await bound(path, { external_ids: { crm: '1' } })).statusCode, 403)
  t.equal((await bound('PUT /api/contacts/external/erp/A-2', named)).statusCode, 403)
})

t.test('fifty upserts at once make one record', async t => {
  const { call } = await organization(app)
  const race = async (request: string, body: (i: number) => object) => {
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => call(request, body(i))))
    const ids = new Set(answers.map(answer => answer.json().id))
    t.equal(ids.size, 1, `${request}: ${[...ids].join()}`)
    const statuses = answers.map(({ statusCode }) => statusCode)
    t.equal(statuses.filter(status => status === 201).length, 1, statuses.join())
    t.equal(statuses.filter(status => status === 200).length, 49)
    return [...ids][0] as number
  }
  const id = await race(byEmail, i => ({
    ...person,
    email: i % 2 ? person.email : 'ZOE@example.COM',
    external_ids: { [`source_${i % 10}`]: '1' }
  }))
  const { external_ids } = (await call(`GET /api/contacts/${id}`)).json()
  t.equal(Object.keys(external_ids).length, 10, 'no change is lost')
  const ofErp = { external_ids: { erp: 'A-1' } }
  await race('POST /api/leads?match=external:erp', i => ({ source: `s${i}`, ...ofErp }))
  await race('PUT /api/opportunities/external/erp/A-1', i => ({ title: `Sale ${i}` }))
  await race('PUT /api/accounts/external/erp/A-1', i => ({ name: `Account ${i}` }))
  t.equal(await total(call, 'contacts'), 1)
  t.equal(await total(call, 'leads'), 1)
})

t.test('upserts and conversions exclude each other', async t => {
  const { call } = await organization(app)
  for (let round = 0; round < 5; round++) {
    const contact = { ...person, email: `z${round}@example.com` }
    const leads = await Promise.all(
      Array.from({ length: 4 }, async () => (await call('POST /api/leads', {})).json())
    )
    const convert = async ({ id }: { id: number }) =>
      await call(`POST /api/leads/${id}/conversion`, { contact, account: null, opportunity: null })
    await Promise.all([
      ...leads.map(convert),
      ...Array.from({ length: 4 }, () => call(byEmail, contact))
    ])
    const { data } = (await call(`GET /api/contacts?email=${contact.email}`)).json()
    t.equal(data.length, 1, `round ${round}`)
  }
})

t.test('a writer who takes the same ID by another way is refused, and both go on', async t => {
  const { call } = await organization(app)
  const external_ids = { erp: 'A-1' }
  const answers = await Promise.all([
    ...Array.from({ length: 10 }, () => call('POST /api/leads', { external_ids })),
    ...Array.from({ length: 10 }, () => call('PUT /api/leads/external/erp/A-1', {}))
  ])
  const statuses = answers.map(({ statusCode }) => statusCode)
  t.equal(statuses.filter(status => status === 201).length, 1, statuses.join())
  t.ok(
    statuses.every(status => [200, 201, 409].includes(status)),
    statuses.join()
  )
  const rows = await ownerOf(app)`select from external_ids where value = 'A-1' and type = 'lead'
    and record_id in (select id from leads where external_ids ->> 'erp' = 'A-1')`
  t.ok(rows.length >= 1)
})

// Fields that roles hide or protect: nowhere to be seen, asked for or changed.
import t, { type Test } from 'tap'
import { allResources, targetsOf } from '../../../src/core/records/resource.ts'
import { hideableFields } from '../../../src/core/records/visibility.ts'
import { application, organization, type Call } from '../../support/app.ts'
import { documentOf } from '../../support/document.ts'
import { everything, hiding, protecting, userWith } from '../../support/field-rights.ts'
import { ours, plant } from '../../support/plant.ts'
import { readAll } from '../../support/reads.ts'

const app = await application(t)

const recordResources = allResources().filter(
  ({ schema, access }) => schema && (access === undefined || access === 'shared')
)

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

// Responses to writes show the fields and related records that the request wants.
import t from 'tap'
import { application, organization, summaryOf } from '../../support/app.ts'
import { documentOf } from '../../support/document.ts'

const app = await application(t)
const { call, admin, user } = await organization(app)
const { id: account_id } = (await call('POST /api/accounts', { name: 'Corp' })).json()
const contact = { first_name: 'A', last_name: 'B', account_id }
const writes = ['POST', 'PUT', 'PATCH', 'POST restore'] as const

/** Writes a contact, and answers with what the query asks for. */
async function write(how: (typeof writes)[number], query: string) {
  if (how === 'POST') return await call(`POST /api/contacts?${query}`, contact)
  const { id } = (await call('POST /api/contacts', contact)).json()
  if (how !== 'POST restore')
    return await call(`${how} /api/contacts/${id}?${query}`, { last_name: 'C' })
  await call(`DELETE /api/contacts/${id}`)
  return await call(`POST /api/contacts/${id}/restore?${query}`)
}

t.test('every write of a record returns the fields and related records requested', async t => {
  for (const how of writes) {
    const { statusCode, headers, ...answer } = await write(how, 'fields=id,version&include=account')
    const { id, version, ...rest } = answer.json()
    t.equal(statusCode, how === 'POST' ? 201 : 200, how)
    t.match(rest, { included: { account: { id: account_id, name: 'Corp' } } }, how)
    t.same(Object.keys(rest), ['included'], `${how} has no other fields`)
    t.equal(headers.etag, `"${version}"`, `${how} has the ETag of the record`)
    if (how === 'POST') t.equal(headers.location, `/api/contacts/${id}`)
    t.match((await call(`GET /api/contacts/${id}`)).json(), { version }, `${how} has written`)
  }
})

t.test('without `id` and `version`, ETag and Location are the same', async t => {
  for (const how of writes) {
    const { headers, ...answer } = await write(how, 'fields=last_name')
    t.same(Object.keys(answer.json()), ['last_name'], how)
    t.match(headers.etag, /^"[1-3]"$/, how)
    if (how === 'POST') t.match(headers.location, /^\/api\/contacts\/\d+$/)
  }
})

t.test('actions that return a record do so as well', async t => {
  const activity = { type: 'call', subject: 'A', assigned_to: admin.user.id }
  const { id } = (await call('POST /api/activities', activity)).json()
  const completed = await call(
    `POST /api/activities/${id}/completion?fields=status&include=assigned_to`,
    {}
  )
  t.equal(completed.headers.etag, '"2"')
  t.same(completed.json(), {
    status: 'completed',
    included: {
      assigned_to: summaryOf(admin.user)
    }
  })
  const lead = (await call('POST /api/leads', {})).json()
  const qualified = await call(`POST /api/leads/${lead.id}/qualification?fields=status`, {})
  t.same(qualified.json(), { status: 'qualified' })
})

t.test('an unknown field, relation or parameter is refused, and nothing is written', async t => {
  const count = async () => (await call('GET /api/contacts?count=exact&limit=1')).json().total
  const before = await count()
  for (const query of ['fields=nonsense', 'include=nonsense', 'nonsense=1', 'limit=1', 'status=x'])
    t.equal((await call(`POST /api/contacts?${query}`, contact)).statusCode, 400, query)
  t.equal(await count(), before)
})

t.test('every operation that returns a record has the parameters of its GET', async t => {
  const { paths } = documentOf(app)
  const namesOf = (path: string, method: string) =>
    (paths[path]?.[method]?.parameters ?? [])
      .map(({ name }) => name)
      .filter(name => ['fields', 'include'].includes(name))
  const records = Object.keys(paths).filter(path => paths[`${path}/{id}/restore`])
  t.ok(records.length >= 14, `${records.length} resources`)
  for (const path of records) {
    const expected = namesOf(`${path}/{id}`, 'get')
    // what is created with a secret has no parameter that leaves it out
    const hasSecret = paths[`${path}/{id}/rotation`] !== undefined
    const found = [
      hasSecret ? expected : namesOf(path, 'post'),
      namesOf(`${path}/{id}`, 'put'),
      namesOf(`${path}/{id}`, 'patch'),
      namesOf(`${path}/{id}/restore`, 'post')
    ]
    t.same(found, [expected, expected, expected, expected], path)
  }
})

t.test('a viewer still may not write', async t => {
  const viewer = await user('viewer')
  t.equal((await viewer.call('POST /api/contacts?include=account', contact)).statusCode, 403)
})

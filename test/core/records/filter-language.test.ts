import t from 'tap'
import { application, organization } from '../../support/app.ts'

const app = await application(t)

t.test('an invalid list of values is refused with the values that it can have', async t => {
  const { call } = await organization(app)
  for (const [query, detail] of [
    [
      'contacts?include=bogus',
      /up to 6 of account, assigned_to, tags, created_by, updated_by, activities, separated/
    ],
    ['contacts?sort=phone', /up to 3 of id, -id, first_name, .*separated by commas/],
    ['leads?status[in]=nwe', /one or more of new, contacted, .*separated by commas/],
    ['leads?score[in]=x', /integers, separated by commas/],
    [`leads?id[in]=${'1,'.repeat(100)}1`, /at most 100/],
    ['opportunities?amount[in]=x', /numbers, separated by commas/],
    ['contacts?company[in]=,', /values, separated by commas/],
    ['opportunities?entered_stage=Won', /must start with a lowercase letter/]
  ] as const) {
    const refused = await call(`GET /api/${query}`)
    t.match([refused.statusCode, refused.json().detail], [400, detail], query)
  }
})

t.test('lists have no ranges of IDs, except id[gt]', async t => {
  const { call } = await organization(app)
  for (const operator of ['gt', 'gte', 'lt', 'lte'])
    t.equal((await call(`GET /api/contacts?account_id[${operator}]=1`)).statusCode, 400, operator)
  t.equal((await call('GET /api/contacts?id[lt]=1')).statusCode, 400)
  t.equal((await call('GET /api/contacts?id[gt]=1')).statusCode, 200)
})

t.test('stored filters with ranges of IDs, which lists had before, still work', async t => {
  const { call, admin } = await organization(app)
  const { id: account_id } = (await call('POST /api/accounts', { name: 'Corp' })).json()
  const rule = (
    await call('POST /api/assignment-rules', {
      name: 'Rule',
      resource: 'opportunities',
      status: 'active',
      filter: 'account_id[gte]=1',
      user_id: admin.user.id
    })
  ).json()
  const sale = async (body: object) =>
    (await call('POST /api/opportunities', { title: 'Sale', ...body })).json().assigned_to
  t.equal(await sale({ account_id }), admin.user.id, 'the rule matches')
  t.equal(await sale({}), null, 'and does not match without an account')
  const drafted = await call(`PATCH /api/assignment-rules/${rule.id}`, { status: 'draft' })
  t.equal(drafted.statusCode, 200)

  const rules = [{ field: 'contact.account_id', operator: 'lt', value: '999999', points: 3 }]
  const model = { name: 'Model', status: 'active', rules }
  t.equal((await call('POST /api/scoring-models', model)).statusCode, 201)
  const contact = { first_name: 'A', last_name: 'B', account_id }
  const { id: contact_id } = (await call('POST /api/contacts', contact)).json()
  t.equal((await call('POST /api/leads', { contact_id })).json().score, 3)
})

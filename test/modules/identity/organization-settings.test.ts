// The settings of an organization, and that its days and months begin where it is.
import t from 'tap'
import { application, organization, type Call } from '../../support/app.ts'

const app = await application(t)

t.test('admins change the settings, everyone reads them', async t => {
  const { call, user, slug, id } = await organization(app)
  const viewer = await user('viewer')
  const path = '/api/organization'
  const read = await viewer.call(`GET ${path}`)
  t.match(read.json(), {
    id,
    slug,
    name: 'Test',
    time_zone: 'UTC',
    locale: 'en-US',
    currency: 'USD',
    week_starts_on: 'monday'
  })
  t.equal(read.headers.etag, '"1"')
  const changes = { time_zone: 'Asia/Tokyo', locale: 'ja-JP', currency: 'JPY', name: 'Nova' }
  t.equal((await viewer.call(`PATCH ${path}`, changes)).statusCode, 403)
  const changed = await call(`PATCH ${path}`, changes, { 'if-match': '"1"' })
  t.match(changed.json(), { ...changes, slug, version: 2 })
  t.equal((await call(`PATCH ${path}`, { name: 'X' }, { 'if-match': '"1"' })).statusCode, 412)
  t.match((await viewer.call('GET /api/auth/me')).json().organization, changes)
  for (const [body, field] of [
    [{ time_zone: 'Mars/Olympus' }, 'time_zone'],
    [{ locale: 'not a locale' }, 'locale'],
    [{ currency: 'XQQ' }, 'currency']
  ] as const)
    t.match((await call(`PATCH ${path}`, body)).json(), {
      status: 422,
      errors: [{ pointer: `/${field}` }]
    })
  const other = await organization(app)
  t.match((await other.call(`GET ${path}`)).json(), { time_zone: 'UTC' }, 'of no other one')
})

/** What a list selects, by subject. */
async function subjects(call: Call, filter: string): Promise<string[]> {
  const { data } = (await call(`GET /api/activities?${filter}&sort=due_at`)).json()
  return (data as { subject: string }[]).map(({ subject }) => subject)
}

t.test('a date means the day where the organization is, also when the clocks change', async t => {
  const { call } = await organization(app)
  await call('PATCH /api/organization', { time_zone: 'Europe/Berlin' })
  // 26 October 2026 is an ordinary day; on the 25th, the clocks go back by an hour
  for (const due_at of [
    '2026-10-24T21:59:59.999Z',
    '2026-10-24T22:00:00.000Z',
    '2026-10-25T22:59:59.999Z',
    '2026-10-25T23:00:00.000Z'
  ])
    await call('POST /api/activities', { type: 'task', subject: due_at, due_at })
  const day = ['2026-10-24T22:00:00.000Z', '2026-10-25T22:59:59.999Z']
  t.same(await subjects(call, 'due_at=2026-10-25'), day)
  t.same(await subjects(call, 'due_at[gte]=2026-10-25&due_at[lt]=2026-10-26'), day)
  t.same(await subjects(call, 'due_at[gt]=2026-10-25'), ['2026-10-25T23:00:00.000Z'])
  t.same(await subjects(call, 'due_at[lte]=2026-10-24'), ['2026-10-24T21:59:59.999Z'])
  await call('PATCH /api/organization', { time_zone: 'UTC' })
  t.equal((await subjects(call, 'due_at=2026-10-25')).length, 2, 'from the next request on')
  t.same(await subjects(call, 'due_at=2026-10-24'), ['2026-10-24T21:59:59.999Z', day[0]])
})

t.test('months of the forecast begin there, and each number is the total of its list', async t => {
  const { call } = await organization(app)
  const sale = (await call('POST /api/opportunities', { title: 'Sale', amount: 10 })).json()
  await call(`PATCH /api/opportunities/${sale.id}`, { stage: 'won' })
  await app.services.database.pool`
    update opportunities set closed_at = '2026-10-31T15:30:00Z' where id = ${sale.id}`
  const won = async (query = '') => {
    const { data } = (await call(`GET /api/reports/forecast${query}`)).json()
    for (const { count, list, filter } of data) {
      const { total } = (await call(`GET ${list}?count=exact&${filter}`)).json()
      t.equal(total, count, filter)
    }
    return data.map(({ month }: { month: string }) => month)
  }
  t.same(await won(), ['2026-10'])
  await call('PATCH /api/organization', { time_zone: 'Asia/Tokyo' })
  t.same(await won(), ['2026-11'], 'it is November there')
  t.same(await won('?month[gte]=2026-11'), ['2026-11'])
  t.same(await won('?month[lte]=2026-10'), [])
  t.same(await won('?closed_at[gte]=2026-10-31T15:00:00Z'), ['2026-11'])
  const active = await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })
  const links = [{ type: 'contact', id: active.json().id }]
  const completed_at = '2026-10-31T15:30:00Z'
  await call('POST /api/activities', { type: 'note', subject: 'N', completed_at, links })
  const since = async (day: string) =>
    (await call(`GET /api/contacts?count=exact&active_since=${day}`)).json().total
  t.same([await since('2026-11-01'), await since('2026-11-02')], [1, 0])
})

t.test('a user may have a time zone of their own', async t => {
  const { call, admin } = await organization(app)
  const one = `/api/users/${admin.user.id}`
  t.equal((await call('GET /api/auth/me')).json().time_zone, null)
  t.equal((await call(`PATCH ${one}`, { time_zone: 'Europe/Rome' })).statusCode, 200)
  t.equal((await call('GET /api/auth/me')).json().time_zone, 'Europe/Rome')
  const refused = await call(`PATCH ${one}`, { time_zone: 'Europe/Nowhere' })
  t.match(refused.json(), { status: 422, errors: [{ pointer: '/time_zone' }] })
})

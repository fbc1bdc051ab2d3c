import t from 'tap'
import { application, organization, ownerOf } from '../../support/app.ts'
import { documentOf } from '../../support/document.ts'
import { plansOf } from '../../support/plans.ts'
import { type Activity, ids } from './activities.ts'

const app = await application(t)
const sql = app.services.database.pool
const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString()

t.test('mine and overdue', async t => {
  const { call, user } = await organization(app)
  const maria = await user('user')
  const create = async (input: object) =>
    (await call('POST /api/activities', { type: 'task', subject: 'T', ...input })).json()
      .id as number
  const late = await create({ due_at: hoursAgo(1), assigned_to: maria.user.id })
  const begun = await create({ due_at: hoursAgo(2), status: 'in_progress' })
  const done = await create({ due_at: hoursAgo(3), status: 'completed' })
  const cancelled = await create({
    due_at: hoursAgo(3),
    status: 'cancelled',
    assigned_to: maria.user.id
  })
  const soon = await create({ due_at: hoursAgo(-1) })
  const sometime = await create({})
  const found = async (query: string) =>
    ids((await maria.call(`GET /api/activities?sort=id&${query}`)).json().data)

  t.same(await found('overdue=true'), [late, begun])
  t.same(
    await found('overdue=false'),
    [done, cancelled, soon, sometime],
    'an activity without a date is not overdue'
  )
  t.same(await found('mine=true'), [late, cancelled])
  t.same(
    await found('mine=false'),
    [begun, done, soon, sometime],
    'an unassigned activity is not mine'
  )
  t.same(await found('mine=true&overdue=true'), [late])
  t.equal((await maria.call('GET /api/activities?mine=yes')).statusCode, 400)
})

t.test('contacts with their recent activities', async t => {
  const { call } = await organization(app)
  const other = await organization(app)
  const contacts: number[] = []
  for (let i = 0; i < 8; i++)
    contacts.push(
      (await call('POST /api/contacts', { first_name: `C${i}`, last_name: 'X' })).json().id
    )
  // contact i was called i, 10 + i and 20 + i days ago, and is to be called
  const made: { id: number; contact: number; days: number }[] = []
  for (const [i, id] of contacts.entries()) {
    for (const days of [i, 10 + i, 20 + i]) {
      const { id: activity } = (
        await call('POST /api/activities', {
          type: 'call',
          subject: `${days}`,
          completed_at: hoursAgo(days * 24 + 1),
          links: [{ type: 'contact', id }]
        })
      ).json()
      made.push({ id: activity, contact: id, days })
    }
  }
  const within = (contact: number, days: number) =>
    made
      .filter(one => one.contact === contact && one.days < days)
      .toSorted((a, b) => a.days - b.days)
      .map(({ id }) => id)
  const url = '/api/contacts?include=activities&sort=id'
  const seen = (rows: { id: number; included: { activities: { id: number }[] } }[]) =>
    rows.map(({ id, included }) => [id, ids(included.activities)])

  for (const [text, days] of [
    ['30d', 30],
    ['3d', 3],
    ['36h', 1.5],
    ['2w', 14],
    ['1h', 0],
    [hoursAgo(5 * 24), 5],
    [hoursAgo(-24).slice(0, 10), 0],
    ['2020-01-01', 99]
  ] as const) {
    const expected = contacts
      .filter(id => within(id, days).length > 0)
      .map(id => [id, within(id, days)])
    t.same(seen((await call(`GET ${url}&active_since=${text}`)).json().data), expected, text)
  }
  t.same(
    seen((await call(`GET ${url}`)).json().data),
    contacts.map(id => [id, within(id, 99)]),
    'without a period, all of them'
  )
  t.same(seen((await call(`GET ${url}&active_since=3d&limit=1&count=exact`)).json().data).length, 1)
  t.same(
    ids(
      (await call(`GET /api/contacts/${contacts[2]}?include=activities`)).json().included.activities
    ),
    within(contacts[2]!, 99)
  )
  t.same((await other.call(`GET ${url}&active_since=30d`)).json().data, [])
  for (const text of [
    '30',
    '0d',
    '30m',
    '-1d',
    '99999d',
    'yesterday',
    '2026-02-30',
    'd',
    '1d ',
    ''
  ]) {
    t.match(
      (await call(`GET /api/contacts?active_since=${encodeURIComponent(text)}`)).json(),
      { status: 400, errors: [{ parameter: 'active_since' }] },
      `"${text}"`
    )
  }

  await t.test('at most the newest 20 of each', async t => {
    const [id] = contacts
    for (let i = 0; i < 25; i++)
      await call('POST /api/activities', {
        type: 'note',
        subject: 'N',
        links: [{ type: 'contact', id }]
      })
    const { activities } = (await call(`GET /api/contacts/${id}?include=activities`)).json()
      .included as { activities: Activity[] }
    t.equal(activities.length, 20)
    t.same(
      activities,
      activities.toSorted((a, b) =>
        a.completed_at === b.completed_at
          ? b.id - a.id
          : b.completed_at!.localeCompare(a.completed_at!)
      )
    )
  })

  await t.test('"30d" is the same list on all pages while time passes', async t => {
    let cursor = ''
    const found: number[] = []
    do {
      const page = (
        await call(`GET /api/contacts?active_since=30d&sort=first_name&limit=3${cursor}`)
      ).json()
      found.push(...ids(page.data))
      cursor = page.next_cursor === null ? '' : `&cursor=${page.next_cursor}`
    } while (cursor !== '')
    t.same(found, contacts)
    const { next_cursor } = (await call('GET /api/contacts?active_since=30d&limit=3')).json()
    t.equal(
      (await call(`GET /api/contacts?active_since=31d&cursor=${next_cursor}`)).statusCode,
      400,
      'another period is another list'
    )
  })
})

t.test('on thousands of rows', async t => {
  const { call, id: organization_id, admin } = await organization(app)
  await sql.begin(async sql => {
    await sql`set local statement_timeout = '120s'`
    await sql`insert into contacts (organization_id, first_name, last_name)
      select ${organization_id}, 'First' || n, 'Last' || n from generate_series(1, 5000) n`
    await sql`insert into activities
      (organization_id, type, subject, status, due_at, completed_at, assigned_to, created_at, links)
      select ${organization_id}, (array['call', 'email', 'meeting'])[1 + n % 3], 'Subject ' || n,
        case when n % 4 = 0 then 'planned' when n % 4 = 1 then 'cancelled' else 'completed' end,
        now() - n * interval '1 hour', case when n % 4 > 1 then now() - n * interval '1 hour' end,
        case when n % 50 = 0 then ${admin.user.id}::bigint end, now() - n * interval '1 hour',
        jsonb_build_array(jsonb_build_object('type', 'contact', 'id',
        (select min(id) from contacts where organization_id = ${organization_id}) + n % 5000))
      from generate_series(1, 20000) n`
  })
  await ownerOf(app)`vacuum analyze`
  const contact = (await call('GET /api/contacts?limit=1')).json().data[0].id as number

  await t.test('the query of the SmartX document is two statements, both on an index', async t => {
    for (const query of [
      'include=activities&active_since=30d',
      'include=activities&active_since=30d&limit=200',
      'include=activities&active_since=2020-01-01&fields=id',
      'include=activities&active_since=2h'
    ]) {
      const plans = await plansOf(app, async () => await call(`GET /api/contacts?${query}`))
      t.equal(plans.length, 2, query)
      for (const plan of plans) t.notMatch(plan, /Seq Scan/, query)
      t.match(plans[0], /idx_activity_links_contact_id/)
      t.match(plans[1], /idx_activity_links_contact_id/)
    }
  })

  await t.test('every declared filter and sort uses an index', async t => {
    const parameters = documentOf(app).paths['/api/activities']!.get!.parameters!
    const [sample] = (await call('GET /api/activities?limit=1&status=completed')).json()
      .data as Record<string, string | number>[]
    for (const { name, schema } of parameters) {
      const [, field = '', operator = 'eq'] = /^(\w+)(?:\[(\w+)\])?$/.exec(name)!
      if (!(field in sample!)) continue
      const value =
        operator === 'null'
          ? 'true'
          : (schema.enum?.[0] ??
            (operator === 'any' || operator === 'all' ? 1 : (sample![field] ?? admin.user.id)))
      const query = new URLSearchParams({ [name]: `${value}` }).toString()
      for (const plan of await plansOf(app, async () => await call(`GET /api/activities?${query}`)))
        t.notMatch(plan, /Seq Scan/, query)
    }
    for (const query of [
      `contact_id=${contact}`,
      'lead_id=1',
      'account_id=1',
      'opportunity_id=1',
      'overdue=true',
      'overdue=true&sort=due_at',
      'overdue=false',
      'mine=true',
      'mine=false',
      'mine=true&overdue=true',
      'q=subject%201234'
    ]) {
      for (const plan of await plansOf(app, async () => await call(`GET /api/activities?${query}`)))
        t.notMatch(plan, /Seq Scan/, query)
    }
    t.match(
      (await plansOf(app, async () => await call(`GET /api/activities?contact_id=${contact}`)))[0],
      /idx_activity_links_contact_id/
    )
    for (const sort of ['due_at', '-completed_at', 'created_at', '-updated_at', 'id']) {
      for (const plan of await plansOf(
        app,
        async () => await call(`GET /api/activities?sort=${sort}`)
      ))
        t.notMatch(plan, /Seq Scan|Sort/, sort)
    }
  })
})

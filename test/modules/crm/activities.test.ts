import t from 'tap'
import { application, organization } from '../../support/app.ts'
import { documentOf } from '../../support/document.ts'
import { plansOf } from '../../support/plans.ts'
import { behavesLikeARecord } from '../../support/record.ts'

type Activity = Record<string, unknown> & {
  id: number
  completed_at: string | null
  created_at: string
}
const app = await application(t)
const sql = app.services.database.pool
const ids = (rows: { id: number }[]) => rows.map(({ id }) => id)
const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString()

t.test('an activity', t =>
  behavesLikeARecord(t, app, '/api/activities', {
    valid: () => ({
      type: 'meeting',
      subject: 'Zoë 😀',
      due_at: '2026-12-01T09:00:00.000Z',
      duration_minutes: 0,
      links: [],
      status: 'in_progress',
      priority: 'low'
    }),
    change: { subject: 'Demo' },
    invalid: [
      [{ type: 'party' }, '/type'],
      [{ type: null }, '/type'],
      [{ subject: '' }, '/subject'],
      [{ subject: 'x'.repeat(201) }, '/subject'],
      [{ status: 'done' }, '/status'],
      [{ priority: 'urgent' }, '/priority'],
      [{ due_at: '2026-12-01' }, '/due_at'],
      [{ due_at: '2026-02-30T00:00:00Z' }, '/due_at'],
      [{ due_at: 'soon' }, '/due_at'],
      [{ duration_minutes: -1 }, '/duration_minutes'],
      [{ duration_minutes: 1.5 }, '/duration_minutes'],
      [{ description: 'a\u0000b' }, '/description'],
      [{ links: {} }, '/links'],
      [{ links: [{ type: 'contact' }] }, '/links/0/id'],
      [{ links: [{ type: 'user', id: 1 }] }, '/links/0/type'],
      [{ links: [{ type: 'contact', id: 0 }] }, '/links/0/id'],
      [{ links: [{ type: 'contact', id: 1, name: 'A' }] }, '/links/0/name'],
      [{ links: Array.from({ length: 51 }, (_, i) => ({ type: 'contact', id: i + 1 })) }, '/links']
    ]
  })
)

t.test('completed_at follows the status', async t => {
  const { call } = await organization(app)
  const make = async (input: object = {}) =>
    (
      await call('POST /api/activities', { type: 'call', subject: 'A call', ...input })
    ).json() as Activity
  const recently = (at: unknown) => Math.abs(Date.now() - Date.parse(String(at))) < 60_000

  t.match(await make(), { status: 'planned', completed_at: null })
  const note = await make({ type: 'note' })
  t.ok(
    note.status === 'completed' && recently(note.completed_at),
    'a note is done when it is written'
  )
  t.match(
    await make({ type: 'note', status: 'planned' }),
    { status: 'planned', completed_at: null },
    'unless it says otherwise'
  )
  t.match(
    await make({ completed_at: '2026-01-01T10:00:00.000Z' }),
    { status: 'completed', completed_at: '2026-01-01T10:00:00.000Z' },
    'what has a time was completed'
  )
  t.match(await make({ status: 'completed', completed_at: '2026-01-01T11:00:00+01:00' }), {
    completed_at: '2026-01-01T10:00:00.000Z'
  })
  t.match(
    (
      await call('POST /api/activities', {
        type: 'call',
        subject: 'A',
        status: 'planned',
        completed_at: '2026-01-01T10:00:00Z'
      })
    ).json(),
    { status: 422, code: 'rule_broken', errors: [{ pointer: '/completed_at' }] }
  )

  const { id } = await make()
  const patch = async (changes: object, headers = {}) =>
    await call(`PATCH /api/activities/${id}`, changes, headers)
  const done = (await patch({ status: 'completed' })).json() as Activity
  t.ok(recently(done.completed_at))
  t.match((await patch({ completed_at: '2026-03-01T00:00:00.000Z' })).json(), {
    status: 'completed',
    completed_at: '2026-03-01T00:00:00.000Z'
  })
  t.match(
    (await patch({ completed_at: null })).json(),
    { completed_at: '2026-03-01T00:00:00.000Z' },
    'what is completed has a time'
  )
  t.match(
    (await patch({ status: 'in_progress', completed_at: '2026-03-01T00:00:00.000Z' })).json(),
    { status: 'in_progress', completed_at: null },
    'a form may send back what it read'
  )
  t.match((await patch({ completed_at: '2026-03-02T00:00:00Z' })).json(), {
    status: 422,
    errors: [{ pointer: '/completed_at' }]
  })
  t.match(
    (
      await patch(
        { status: 'completed', completed_at: '2026-03-02T00:00:00Z' },
        { 'if-match': '"1"' }
      )
    ).json(),
    { status: 412 }
  )
  t.match(
    (await call(`GET /api/activities/${id}`)).json(),
    { status: 'in_progress', completed_at: null, version: 4 },
    'and what was refused changed nothing'
  )
})

t.test('a completion', async t => {
  const { call, user } = await organization(app)
  const stranger = await organization(app)
  const make = async (input: object = {}) =>
    (
      await call('POST /api/activities', {
        type: 'call',
        subject: 'A call',
        description: 'Ask',
        ...input
      })
    ).json() as Activity
  const first = await make()
  const done = await call(`POST /api/activities/${first.id}/completion`)
  t.match(
    [done.statusCode, done.headers.etag, done.json()],
    [200, '"2"', { status: 'completed', completed_at: String, description: 'Ask', version: 2 }],
    'needs no body'
  )
  const again = await call(`POST /api/activities/${first.id}/completion`, {
    completed_at: '2020-01-01T00:00:00Z',
    duration_minutes: 9
  })
  t.same(
    [again.statusCode, again.headers.etag, again.json()],
    [200, '"2"', done.json()],
    'comes once'
  )

  const { id } = await make()
  t.match(
    (
      await call(
        `POST /api/activities/${id}/completion`,
        { completed_at: '2026-01-01T10:00:00Z', duration_minutes: 20, description: 'Yes' },
        { 'if-match': '"1"' }
      )
    ).json(),
    {
      status: 'completed',
      completed_at: '2026-01-01T10:00:00.000Z',
      duration_minutes: 20,
      description: 'Yes'
    }
  )
  t.equal(
    (await call(`POST /api/activities/${id}/completion`, {}, { 'if-match': '"1"' })).statusCode,
    412
  )

  const cancelled = await make({ status: 'cancelled' })
  for (const request of [
    call(`POST /api/activities/${cancelled.id}/completion`),
    call(`PATCH /api/activities/${cancelled.id}`, { status: 'completed' })
  ]) {
    t.match((await request).json(), {
      status: 409,
      code: 'impossible_move',
      allowed: ['planned', 'in_progress'],
      errors: [{ pointer: '/status' }]
    })
  }
  t.equal(
    (await call(`PATCH /api/activities/${cancelled.id}`, { status: 'planned' })).statusCode,
    200
  )
  t.equal(
    (await call(`POST /api/activities/${cancelled.id}/completion`, {})).statusCode,
    200,
    'planned anew it can be completed'
  )

  t.equal((await stranger.call(`POST /api/activities/${first.id}/completion`)).statusCode, 404)
  t.equal(
    (await (await user('viewer')).call(`POST /api/activities/${first.id}/completion`)).statusCode,
    403
  )
  t.match((await call(`POST /api/activities/${first.id}/completion`, { outcome: 'x' })).json(), {
    status: 400,
    errors: [{ pointer: '/outcome' }]
  })

  const many = await make()
  const answers = await Promise.all(
    Array.from(
      { length: 20 },
      async (_, i) =>
        await call(`POST /api/activities/${many.id}/completion`, { duration_minutes: i })
    )
  )
  t.equal(
    new Set(answers.map(({ body }) => body)).size,
    1,
    'twenty at once are one, and all are told the same'
  )
  t.equal((await call(`GET /api/activities/${many.id}/history`)).json().data.length, 2)
})

t.test('links', async t => {
  const { call, admin } = await organization(app)
  const stranger = await organization(app)
  const contact = (await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })).json()
    .id as number
  const gone = (await call('POST /api/contacts', { first_name: 'G', last_name: 'H' })).json()
    .id as number
  const theirs = (
    await stranger.call('POST /api/contacts', { first_name: 'C', last_name: 'D' })
  ).json().id as number
  const lead = (await call('POST /api/leads', { contact_id: contact })).json().id as number
  const account = (await call('POST /api/accounts', { name: 'Corp' })).json().id as number
  const opportunity = (await call('POST /api/opportunities', { title: 'Sale' })).json().id as number
  const all = [
    { type: 'contact', id: contact },
    { type: 'lead', id: lead },
    { type: 'account', id: account },
    { type: 'opportunity', id: opportunity }
  ]
  const activity = { type: 'call', subject: 'A call' }
  const kept = (
    await call('POST /api/activities', {
      ...activity,
      links: [...all, { type: 'contact', id: gone }]
    })
  ).json() as Activity
  await call(`DELETE /api/contacts/${gone}`)

  t.match(
    (await call('POST /api/activities', { ...activity, links: all })).json(),
    { links: all },
    'to records of every kind'
  )
  t.match(
    (await call('POST /api/activities', { ...activity, links: [...all, all[1]!] })).json(),
    { status: 422, code: 'rule_broken', errors: [{ pointer: '/links/4' }] },
    'to each only once'
  )
  const { id } = (await call('POST /api/activities', activity)).json() as Activity
  for (const type of ['contact', 'lead', 'account', 'opportunity']) {
    for (const missing of [999_999, ...(type === 'contact' ? [gone, theirs] : [])]) {
      const expected = {
        status: 422,
        code: 'unknown_reference',
        errors: [{ pointer: '/links/1/id' }, { pointer: '/links/3/id' }]
      }
      const links = [all[0]!, { type, id: missing }, all[2]!, { type, id: 888_888 }]
      t.match(
        (await call('POST /api/activities', { ...activity, links })).json(),
        expected,
        `${type} ${missing}`
      )
      t.match((await call(`PATCH /api/activities/${id}`, { links })).json(), expected)
    }
  }
  t.match(
    (await call(`PUT /api/activities/${kept.id}`, { links: kept.links, location: 'Here' })).json(),
    { location: 'Here', links: kept.links },
    'a form can be saved although what it points at is gone'
  )
  t.match((await call('POST /api/activities', { ...activity, assigned_to: 999_999 })).json(), {
    status: 422,
    errors: [{ pointer: '/assigned_to' }]
  })
  t.match((await call('POST /api/activities', { ...activity, tags: [999_999] })).json(), {
    status: 422,
    errors: [{ pointer: '/tags' }]
  })

  await t.test('filter lists', async t => {
    const found = async (query: string) =>
      ids((await call(`GET /api/activities?${query}`)).json().data)
    const everything = await found('sort=-id')
    for (const { type, id } of all)
      t.same(
        await found(`${type}_id=${id}`),
        everything.filter(one => one !== everything[0]),
        type
      )
    t.same(
      await found(`contact_id=${contact}&contact_id=${contact}`).catch(() => 'refused'),
      'refused'
    )
    t.same(await found(`contact_id=${theirs}`), [])
    t.same(ids((await stranger.call(`GET /api/activities?contact_id=${contact}`)).json().data), [])
    await call(`PATCH /api/activities/${kept.id}`, { links: [all[1]] })
    t.notOk(
      (await found(`contact_id=${contact}`)).includes(kept.id),
      'a link that is taken away is gone'
    )
    await call(`DELETE /api/activities/${kept.id}`)
    t.notOk((await found(`lead_id=${lead}`)).includes(kept.id))
    await call(`POST /api/activities/${kept.id}/restore`)
    t.ok((await found(`lead_id=${lead}`)).includes(kept.id), 'and back with its activity')
  })

  await t.test('to another organization are refused by the database', async t => {
    await t.rejects(
      sql`update activities set links = ${sql.json([{ type: 'contact', id: theirs }])}
        where id = ${id}`,
      { code: '23503' }
    )
  })

  await t.test('an activity includes its user', async t => {
    const { id } = (
      await call('POST /api/activities', { ...activity, assigned_to: admin.user.id })
    ).json()
    t.match((await call(`GET /api/activities/${id}?include=assigned_to,tags`)).json().included, {
      assigned_to: { username: admin.user.username },
      tags: []
    })
  })
})

t.test('mine and overdue', async t => {
  const { call, user } = await organization(app)
  const maria = await user('user')
  const make = async (input: object) =>
    (await call('POST /api/activities', { type: 'task', subject: 'T', ...input })).json()
      .id as number
  const late = await make({ due_at: hoursAgo(1), assigned_to: maria.user.id })
  const begun = await make({ due_at: hoursAgo(2), status: 'in_progress' })
  const done = await make({ due_at: hoursAgo(3), status: 'completed' })
  const cancelled = await make({
    due_at: hoursAgo(3),
    status: 'cancelled',
    assigned_to: maria.user.id
  })
  const soon = await make({ due_at: hoursAgo(-1) })
  const sometime = await make({})
  const found = async (query: string) =>
    ids((await maria.call(`GET /api/activities?sort=id&${query}`)).json().data)

  t.same(await found('overdue=true'), [late, begun])
  t.same(
    await found('overdue=false'),
    [done, cancelled, soon, sometime],
    'an activity without a date is not overdue'
  )
  t.same(await found('mine=true'), [late, cancelled])
  t.same(await found('mine=false'), [begun, done, soon, sometime], 'nor is that of nobody mine')
  t.same(await found('mine=true&overdue=true'), [late])
  t.equal((await maria.call('GET /api/activities?mine=yes')).statusCode, 400)
})

t.test('contacts with their recent activities', async t => {
  const { call } = await organization(app)
  const stranger = await organization(app)
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
    'without a time all of them'
  )
  t.same(seen((await call(`GET ${url}&active_since=3d&limit=1&count=exact`)).json().data).length, 1)
  t.same(
    ids(
      (await call(`GET /api/contacts/${contacts[2]}?include=activities`)).json().included.activities
    ),
    within(contacts[2]!, 99)
  )
  t.same((await stranger.call(`GET ${url}&active_since=30d`)).json().data, [])
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
      'and another one is another'
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
  await sql`vacuum analyze`
  const contact = (await call('GET /api/contacts?limit=1')).json().data[0].id as number

  await t.test("the query of the SmartX document is two statements, both on an index", async t => {
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

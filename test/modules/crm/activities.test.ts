import t from 'tap'
import { application, organization } from '../../support/app.ts'
import { behavesLikeARecord } from '../../support/record.ts'
import { type Activity, ids } from './activities.ts'

const app = await application(t)
const sql = app.services.database.pool

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
  const create = async (input: object = {}) =>
    (
      await call('POST /api/activities', { type: 'call', subject: 'A call', ...input })
    ).json() as Activity
  const recently = (at: unknown) => Math.abs(Date.now() - Date.parse(String(at))) < 60_000

  t.match(await create(), { status: 'planned', completed_at: null })
  const note = await create({ type: 'note' })
  t.ok(note.status === 'completed' && recently(note.completed_at), 'a note is completed by default')
  t.match(
    await create({ type: 'note', status: 'planned' }),
    { status: 'planned', completed_at: null },
    'unless a status is sent'
  )
  t.match(
    await create({ completed_at: '2026-01-01T10:00:00.000Z' }),
    { status: 'completed', completed_at: '2026-01-01T10:00:00.000Z' },
    'an activity with completed_at is completed'
  )
  t.match(await create({ status: 'completed', completed_at: '2026-01-01T11:00:00+01:00' }), {
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

  const { id } = await create()
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
    'a completed activity has completed_at'
  )
  t.match(
    (await patch({ status: 'in_progress', completed_at: '2026-03-01T00:00:00.000Z' })).json(),
    { status: 'in_progress', completed_at: null },
    'a client may send back what it read'
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
    'refused updates changed nothing'
  )
})

t.test('a completion', async t => {
  const { call, user } = await organization(app)
  const other = await organization(app)
  const create = async (input: object = {}) =>
    (
      await call('POST /api/activities', {
        type: 'call',
        subject: 'A call',
        description: 'Ask',
        ...input
      })
    ).json() as Activity
  const first = await create()
  const done = await call(`POST /api/activities/${first.id}/completion`)
  t.match(
    [done.statusCode, done.headers.etag, done.json()],
    [200, '"2"', { status: 'completed', completed_at: String, description: 'Ask', version: 2 }],
    'a body is not required'
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

  const { id } = await create()
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

  const cancelled = await create({ status: 'cancelled' })
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
    'planned again, it can be completed'
  )

  t.equal((await other.call(`POST /api/activities/${first.id}/completion`)).statusCode, 404)
  t.equal(
    (await (await user('viewer')).call(`POST /api/activities/${first.id}/completion`)).statusCode,
    403
  )
  t.match((await call(`POST /api/activities/${first.id}/completion`, { outcome: 'x' })).json(), {
    status: 400,
    errors: [{ pointer: '/outcome' }]
  })

  const many = await create()
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
    'twenty concurrent completions are one, with the same response'
  )
  t.equal((await call(`GET /api/activities/${many.id}/history`)).json().data.length, 2)
})

t.test('links', async t => {
  const { call, admin } = await organization(app)
  const other = await organization(app)
  const contact = (await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })).json()
    .id as number
  const gone = (await call('POST /api/contacts', { first_name: 'G', last_name: 'H' })).json()
    .id as number
  const theirs = (
    await other.call('POST /api/contacts', { first_name: 'C', last_name: 'D' })
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
    'to all kinds of records'
  )
  t.match(
    (await call('POST /api/activities', { ...activity, links: [...all, all[1]!] })).json(),
    { status: 422, code: 'rule_broken', errors: [{ pointer: '/links/4' }] },
    'to each record only once'
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
    'an activity can be saved although a linked record is deleted'
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
    t.same(ids((await other.call(`GET /api/activities?contact_id=${contact}`)).json().data), [])
    await call(`PATCH /api/activities/${kept.id}`, { links: [all[1]] })
    t.notOk((await found(`contact_id=${contact}`)).includes(kept.id), 'a removed link is gone')
    await call(`DELETE /api/activities/${kept.id}`)
    t.notOk((await found(`lead_id=${lead}`)).includes(kept.id))
    await call(`POST /api/activities/${kept.id}/restore`)
    t.ok(
      (await found(`lead_id=${lead}`)).includes(kept.id),
      'a restored activity has its links again'
    )
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

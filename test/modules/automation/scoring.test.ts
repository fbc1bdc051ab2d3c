import t from 'tap'
import { application, organization, work } from '../../support/app.ts'
import { rule, create, model, lead } from './scoring.ts'

const app = await application(t)
const sql = app.services.database.pool
const jobs = async () =>
  (
    await sql<{ count: number }[]>`select count(*) from graphile_worker.jobs where run_at <= now()`
  )[0]!.count

t.test('a score follows the lead, its contact and the rules', async t => {
  const { call } = await organization(app)
  const contact_id = (
    await create(call, '/api/contacts', {
      first_name: 'Ann',
      last_name: 'Bo',
      company: 'Example Corp'
    })
  ).id
  const old = await create(call, '/api/leads', { contact_id, source: 'fair', score: 7 })
  const other = await create(call, '/api/leads', {})
  t.match(old, { score: 7, grade: null }, 'set manually without a model')
  t.match((await call(`GET /api/leads/${old.id}/score`)).json(), {
    score: 7,
    grade: null,
    model: null,
    rules: []
  })

  const rules = [
    rule('source', 'eq', 'website', 50),
    rule('contact.company', 'like', 'EXAMPLE', 30),
    rule('status', 'in', 'qualified,converted', 20),
    rule('contact.email', 'null', 'true', -5)
  ]
  const draft = await model(call, rules, { status: 'draft' })
  t.equal(await jobs(), 0, 'a draft does nothing')
  t.match(
    (await call(`GET /api/leads/${old.id}/score?model=${draft.id}`)).json(),
    {
      score: 25,
      grade: 'D',
      model: { id: draft.id, name: 'A model', version: 1 },
      rules: [
        { ...rules[0], matched: false, actual: 'fair' },
        { ...rules[1], matched: true, actual: 'Example Corp' },
        { ...rules[2], matched: false, actual: 'new' },
        { ...rules[3], matched: true, actual: null }
      ]
    },
    'but can be previewed'
  )
  t.match(
    (await call(`GET /api/leads/${other.id}/score?model=${draft.id}`)).json(),
    { score: 0, rules: [{}, {}, {}, { matched: false, actual: null }] },
    'a lead without a contact does not match an empty email'
  )

  await call(`PATCH /api/scoring-models/${draft.id}`, { status: 'active' })
  t.match(
    await lead(call, old.id),
    { score: 7, version: 1 },
    'the response does not wait for the leads'
  )
  await work(app)
  t.match(await lead(call, old.id), { score: 25, grade: 'D', version: 2, updated_by: null })
  t.match(
    (await call(`GET /api/leads/${old.id}/history`)).json().data[0],
    { type: 'lead.updated', actor_id: null, changed: ['grade', 'score'] },
    'as a change by the system'
  )

  await t.test('within the change itself', async t => {
    const changed = await call(
      `PATCH /api/leads/${old.id}`,
      { source: 'website' },
      { 'if-match': '"2"' }
    )
    t.match(changed.json(), { source: 'website', score: 75, grade: 'B', version: 3 })
    t.same(
      (await call(`GET /api/leads/${old.id}/history`)).json().data[0].changed.toSorted(),
      ['grade', 'score', 'source'],
      'one change and one event'
    )
    t.equal(
      (await call(`PATCH /api/leads/${old.id}`, { source: 'fair' }, { 'if-match': '"2"' }))
        .statusCode,
      412
    )
    t.match(await create(call, '/api/leads', { contact_id, source: 'website' }), {
      score: 75,
      grade: 'B',
      version: 1
    })
    t.match(
      (await call(`POST /api/leads/${old.id}/qualification`, {})).json(),
      { status: 'qualified', score: 95, grade: 'A' },
      'a qualification, too'
    )
    t.match((await call(`PATCH /api/leads/${old.id}`, { contact_id: null })).json(), { score: 70 })
    t.match((await call(`PATCH /api/leads/${old.id}`, { contact_id })).json(), { score: 95 })
    t.equal(await jobs(), 0, 'and no job')
  })

  await t.test('a score that is sent is ignored', async t => {
    for (const refused of [
      await call('POST /api/leads', { score: 5 }),
      await call(`PATCH /api/leads/${old.id}`, { score: 5 })
    ]) {
      t.match(refused.json(), {
        status: 422,
        code: 'rule_broken',
        detail: /A model/,
        errors: [{ pointer: '/score' }]
      })
    }
    const { source, status, score } = await lead(call, old.id)
    t.match(
      (await call(`PUT /api/leads/${old.id}`, { source, status, score, tags: [] })).json(),
      { score: 95 },
      'sending an unchanged score is accepted'
    )
    t.match((await call('POST /api/leads', { contact_id: 999_999 })).json(), {
      status: 422,
      errors: [{ pointer: '/contact_id' }]
    })
    t.match((await call(`PATCH /api/leads/${old.id}`, { contact_id: 999_999 })).json(), {
      status: 422,
      errors: [{ pointer: '/contact_id' }]
    })
    t.equal((await call('PATCH /api/leads/999999', { source: 'x' })).statusCode, 404)
  })

  await t.test('after a change of its contact', async t => {
    await call(`PATCH /api/contacts/${contact_id}`, {
      company: 'Sample Ltd',
      email: 'ann@example.com'
    })
    await work(app)
    t.match(await lead(call, old.id), { score: 70, grade: 'B' })
    await call(`DELETE /api/contacts/${contact_id}`)
    await work(app)
    t.match(await lead(call, old.id), { score: 70 }, 'a deleted lead has no explanation')
    await call(`POST /api/contacts/${contact_id}/restore`)
    await call(`PATCH /api/contacts/${contact_id}`, { company: 'Example', email: null })
    await work(app)
    t.match(await lead(call, old.id), { score: 95 })
  })

  await t.test('after a restoration of the lead', async t => {
    const { id } = await create(call, '/api/leads', { source: 'website' })
    await call(`DELETE /api/leads/${id}`)
    await call(`PATCH /api/scoring-models/${draft.id}`, {
      rules: [rule('source', 'eq', 'website', 51), ...rules.slice(1)]
    })
    await work(app)
    t.match((await call(`POST /api/leads/${id}/restore`)).json(), { score: 51, deleted_at: null })
  })

  await t.test('after a change of the active model, and without one', async t => {
    const next = await model(call, [rule('source', 'eq', 'website', 60)], {
      name: 'Next',
      bands: { A: 60, B: 2, C: 1 }
    })
    t.match(
      (await call(`GET /api/scoring-models/${draft.id}`)).json(),
      { status: 'draft', version: 4 },
      'the previous model becomes a draft'
    )
    await work(app)
    t.match(await lead(call, old.id), { score: 60, grade: 'A' })
    const explained = (await call(`GET /api/leads/${old.id}/score`)).json()
    t.match(explained, { score: 60, grade: 'A', model: { id: next.id } })
    await call(`DELETE /api/scoring-models/${next.id}`)
    t.match(
      (await call(`PATCH /api/leads/${other.id}`, { score: 42 })).json(),
      { score: 42 },
      'set manually again at once'
    )
    await work(app)
    t.match(
      await lead(call, old.id),
      { score: 60, grade: null },
      'scores are kept, grades are cleared'
    )
    await call(`POST /api/scoring-models/${next.id}/restore`)
    await work(app)
    t.match(
      [await lead(call, old.id), await lead(call, other.id)],
      [
        { score: 60, grade: 'A' },
        { score: 0, grade: 'D' }
      ]
    )
    await call(`DELETE /api/scoring-models/${next.id}`)
    await call(`PATCH /api/scoring-models/${draft.id}`, { status: 'active' })
    t.match(
      (await call(`POST /api/scoring-models/${next.id}/restore`)).json(),
      { status: 409, errors: [{ pointer: '/status' }] },
      'at most one model is active'
    )
  })
})

t.test('without an active model, a change costs one more short query, on an index', async t => {
  const { call } = await organization(app)
  const { id } = await create(call, '/api/leads', {})
  const sent: string[] = []
  const { point, pool, writes } = app.services.database
  const undo = [point, pool, writes].map(connection => {
    const send = connection.unsafe.bind(connection)
    connection.unsafe = ((text: string, ...rest: []) => {
      sent.push(text)
      return send(text, ...rest)
    }) as typeof connection.unsafe
    return () => {
      connection.unsafe = send
    }
  })
  await call(`PATCH /api/leads/${id}`, { source: 'fair' })
  for (const one of undo) one()
  t.match(sent, [/scoring_models/, /update "leads"/])
  t.equal(sent.length, 2)
})

import t from 'tap'
import { application, organization, type Call } from '../../support/app.ts'
import { analyze, plansOf } from '../../support/plans.ts'
import { type Json, create, get } from '../sales/conversions.ts'

const app = await application(t)

t.test('the status of a lead', async t => {
  const { call } = await organization(app)

  await t.test('can become any but converted by an update', async t => {
    t.match((await call('POST /api/leads', { status: 'converted' })).json(), {
      status: 422,
      code: 'rule_broken',
      errors: [{ pointer: '/status' }]
    })
    const { id } = await create(call, 'leads', {})
    t.match((await call(`PATCH /api/leads/${id}`, { status: 'converted' })).json(), {
      status: 409,
      code: 'impossible_move',
      errors: [{ pointer: '/status' }],
      allowed: ['new', 'contacted', 'qualified', 'unqualified'],
      detail: /conversion/
    })
    t.equal(
      (await call(`PATCH /api/leads/${id}`, { status: 'converted' }, { 'if-match': '"9"' }))
        .statusCode,
      412,
      'a stale update is a 412 before rules are checked'
    )
    t.match(await get(call, `leads/${id}`), { status: 'new', version: 1 })
    t.equal((await call('PATCH /api/leads/999999', { status: 'contacted' })).statusCode, 404)
  })

  await t.test('keeps qualified_at and unqualified_reason consistent', async t => {
    t.match(await create(call, 'leads', { status: 'qualified' }), { qualified_at: /^20/ })
    const { id } = await create(call, 'leads', {})
    const to = async (status: string) =>
      (await call(`PATCH /api/leads/${id}`, { status })).json<Json>()
    const qualified = await to('qualified')
    t.match(qualified, { status: 'qualified', qualified_at: /^20/, version: 2 })
    t.same(await to('qualified'), qualified, 'the same update again changes nothing')
    t.match(await to('contacted'), { qualified_at: null, version: 3 })
    await call(`POST /api/leads/${id}/qualification`, {
      outcome: 'unqualified',
      reason: 'No budget'
    })
    t.match(await to('new'), { unqualified_reason: null, version: 5 })
  })

  await t.test('is set by qualification, which is idempotent', async t => {
    const { id } = await create(call, 'leads', {})
    const path = `POST /api/leads/${id}/qualification`
    const qualified = await call(path, {})
    t.match(
      [qualified.statusCode, qualified.headers.etag, qualified.json()],
      [200, '"2"', { status: 'qualified', qualified_at: /^20/ }]
    )
    t.same((await call(path, { outcome: 'qualified' })).json(), qualified.json())
    t.match((await call(path, { reason: 'Why not' })).json(), {
      status: 422,
      errors: [{ pointer: '/reason' }]
    })
    t.match((await call(path, { outcome: 'converted' })).json(), {
      status: 400,
      errors: [{ pointer: '/outcome' }]
    })
    t.equal((await call(path, {}, { 'if-match': '"1"' })).statusCode, 412)
    const unqualified = (
      await call(path, { outcome: 'unqualified', reason: 'No budget' }, { 'if-match': '"2"' })
    ).json()
    t.match(unqualified, {
      status: 'unqualified',
      unqualified_reason: 'No budget',
      qualified_at: null,
      version: 3
    })
    t.same((await call(path, { outcome: 'unqualified', reason: 'No budget' })).json(), unqualified)
    t.match((await call(path, { outcome: 'unqualified', reason: 'No need' })).json(), {
      unqualified_reason: 'No need',
      version: 4
    })
    t.match(
      (await call(path, { outcome: 'unqualified' })).json(),
      { unqualified_reason: 'No need', version: 4 },
      'a reason that is not sent is kept'
    )
    t.match((await call(path, {})).json(), {
      status: 'qualified',
      unqualified_reason: null,
      qualified_at: /^20/
    })
    t.match(
      (await call(path, { outcome: 'unqualified' })).json(),
      { status: 'unqualified', unqualified_reason: null },
      'a reason is not required'
    )
    t.match(
      (await call(path)).json(),
      { status: 'qualified' },
      'without a body, the lead is qualified'
    )
    t.match((await call(path, undefined, { 'content-type': 'application/json' })).json(), {
      status: 'qualified'
    })
    t.equal((await call('POST /api/leads/999999/qualification', {})).statusCode, 404)
  })

  await t.test('accepts a reason in every way, and only with unqualified', async t => {
    const refused = {
      status: 422,
      code: 'rule_broken',
      errors: [{ pointer: '/unqualified_reason' }]
    }
    t.match((await call('POST /api/leads', { unqualified_reason: 'No need' })).json(), refused)
    t.match(
      (
        await call('POST /api/leads', { status: 'qualified', unqualified_reason: 'No need' })
      ).json(),
      refused
    )
    t.match(
      (await call('POST /api/leads', { unqualified_reason: ' ' })).json(),
      { status: 'new', unqualified_reason: null },
      'a blank reason is none'
    )
    const { id } = await create(call, 'leads', {
      status: 'unqualified',
      unqualified_reason: 'No budget'
    })
    const change = async (changes: object, method = 'PATCH') =>
      (await call(`${method} /api/leads/${id}`, changes)).json<Json>()
    t.match(await get(call, `leads/${id}`), {
      status: 'unqualified',
      unqualified_reason: 'No budget'
    })
    t.match(await change({ unqualified_reason: 'No need' }), {
      unqualified_reason: 'No need',
      version: 2
    })
    t.match(await change({ status: 'unqualified', source: 'form' }), {
      unqualified_reason: 'No need'
    })
    t.match(await change({ unqualified_reason: null }), {
      status: 'unqualified',
      unqualified_reason: null
    })
    t.match(await change({ status: 'unqualified', unqualified_reason: 'Moved away' }, 'PUT'), {
      unqualified_reason: 'Moved away',
      version: 5
    })
    t.match(await change({ status: 'contacted', unqualified_reason: 'Another' }), refused)
    t.match(await get(call, `leads/${id}`), { status: 'unqualified', version: 5 })
    t.match(
      await change({ status: 'contacted', unqualified_reason: 'Moved away' }),
      { status: 'contacted', unqualified_reason: null },
      'a client may send it back'
    )
    t.match(await change({ unqualified_reason: 'No need' }), refused)
    t.match(await change({ unqualified_reason: null, source: 'walk' }), {
      status: 'contacted',
      source: 'walk',
      version: 7
    })
    t.match(await change({ status: 'unqualified', unqualified_reason: 'No need' }), {
      status: 'unqualified',
      unqualified_reason: 'No need'
    })
    t.match(
      (
        await call(`PATCH /api/leads/${id}`, { unqualified_reason: 'Stale' }, { 'if-match': '"1"' })
      ).json(),
      { status: 412 }
    )
  })

  await t.test('logs each transition, by which lists can be filtered', async t => {
    const { id } = await create(call, 'leads', { source: 'walk' })
    for (const status of ['contacted', 'qualified', 'contacted'])
      await call(`PATCH /api/leads/${id}`, { status })
    await call(`PATCH /api/leads/${id}`, { source: 'fair' })
    const { data } = (await call(`GET /api/leads/${id}/moves`)).json()
    t.match(data, [
      { from_stage: 'qualified', to_stage: 'contacted', pipeline_id: null, seconds: 0 },
      { from_stage: 'contacted', to_stage: 'qualified' },
      { from_stage: 'new', to_stage: 'contacted' },
      { from_stage: null, to_stage: 'new', seconds: null }
    ])
    const first = await call(`GET /api/leads/${id}/moves?limit=3`)
    t.match(first.headers.link, /rel="next"/)
    t.same(
      [
        ...first.json().data,
        ...(
          await call(`GET /api/leads/${id}/moves?limit=3&cursor=${first.json().next_cursor}`)
        ).json().data
      ],
      data
    )
    t.equal((await call('GET /api/leads/999999/moves')).statusCode, 404)
    const entered = async (status: string) =>
      (await call(`GET /api/leads?entered_status=${status}&source=fair`)).json().data.length
    t.same([await entered('qualified'), await entered('converted')], [1, 0])
  })

  await t.test('can be combined with a filter by campaign', async t => {
    const { id } = await create(call, 'leads', {})
    const campaign = await create(call, 'campaigns', { name: 'Spring' })
    const member = await create(call, 'campaign-members', { campaign_id: campaign.id, lead_id: id })
    const found = async () =>
      (await call(`GET /api/leads?campaign_id=${campaign.id}`))
        .json<{ data: Json[] }>()
        .data.map(lead => lead.id)
    t.same(await found(), [id])
    await call(`DELETE /api/campaign-members/${member.id}`)
    t.same(await found(), [])
  })
})

t.test('a list of leads can be filtered by user and sorted by grade', async t => {
  const { call, user, admin, id: organization_id } = await organization(app)
  const seller = await user('user')
  const sql = app.services.database.pool
  const own = await create(call, 'leads', { assigned_to: seller.user.id })
  const others = await create(call, 'leads', { assigned_to: admin.user.id })
  const nobodys = await create(call, 'leads', {})
  const found = async (call: Call, query: string) =>
    (await call(`GET /api/leads?${query}`)).json<{ data: Json[] }>().data.map(({ id }) => id)
  t.same(
    [await found(seller.call, 'mine=true'), await found(seller.call, 'mine=false&sort=id')],
    [[own.id], [others.id, nobodys.id]]
  )
  t.same(await found(call, 'mine=true'), [others.id])
  await sql`update leads set grade = 'B' where organization_id = ${organization_id}
    and id = ${own.id}`
  await sql`update leads set grade = 'A' where organization_id = ${organization_id}
    and id = ${nobodys.id}`
  t.same(
    await found(call, 'sort=grade'),
    [nobodys.id, own.id, others.id],
    'leads without a grade come last'
  )

  await t.test('uses indexes', async t => {
    await sql`insert into leads (organization_id, assigned_to, grade)
      select ${organization_id}, case n % 50 when 0 then ${seller.user.id}::bigint else
        ${admin.user.id}::bigint end, substr('ABCD', 1 + n % 5, 1) from generate_series(1, 5000) n
        where n % 5 < 4`
    await analyze(app)
    for (const query of ['mine=true', 'mine=false', 'sort=grade', 'sort=-grade&mine=true']) {
      for (const plan of await plansOf(app, () => seller.call(`GET /api/leads?${query}`)))
        t.notMatch(plan, /Seq Scan/, query)
    }
    t.match(
      (await plansOf(app, () => seller.call('GET /api/leads?sort=grade'))).join(),
      /idx_leads_grade/
    )
    t.match(
      (await plansOf(app, () => seller.call('GET /api/leads?mine=true'))).join(),
      /idx_leads_assigned_to/
    )
  })
})

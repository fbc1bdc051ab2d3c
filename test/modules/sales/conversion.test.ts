import type { TransactionSql } from 'postgres'
import t from 'tap'
import { application, organization, type Call } from '../../support/app.ts'
import { analyze, plansOf } from '../../support/plans.ts'

type Json = Record<string, unknown> & { id: number; version: number }
const app = await application(t)
const person = {
  first_name: 'Zoë',
  last_name: 'Müller',
  email: 'Zoe.Mueller@example.com',
  company: 'Müller & Söhne'
}

/** Makes a record and returns it. */
async function make(call: Call, path: string, body: object): Promise<Json> {
  const made = await call(`POST /api/${path}`, body)
  if (made.statusCode !== 201) throw new Error(made.body)
  return made.json()
}
const makeLead = async (call: Call, contact: object | null = person, lead: object = {}) =>
  await make(call, 'leads', {
    ...(contact && { contact_id: (await make(call, 'contacts', contact)).id }),
    ...lead
  })
const get = async (call: Call, path: string) => (await call(`GET /api/${path}`)).json<Json>()
const total = async (call: Call, path: string) =>
  (await call(`GET /api/${path}?count=exact&limit=1`)).json<{ total: number }>().total
const totals = async (call: Call) =>
  await Promise.all(
    ['leads', 'contacts', 'accounts', 'opportunities'].map(path => total(call, path))
  )
const statuses = (answers: { statusCode: number }[]) =>
  answers.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b)
const lenient = { prefer: 'handling=lenient' }

t.test('the status of a lead', async t => {
  const { call } = await organization(app)

  await t.test('can become any but converted by an update', async t => {
    t.match((await call('POST /api/leads', { status: 'converted' })).json(), {
      status: 422,
      code: 'rule_broken',
      errors: [{ pointer: '/status' }]
    })
    const { id } = await make(call, 'leads', {})
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
      'a stale change is stale before it is impossible'
    )
    t.match(await get(call, `leads/${id}`), { status: 'new', version: 1 })
    t.equal((await call('PATCH /api/leads/999999', { status: 'contacted' })).statusCode, 404)
  })

  await t.test('keeps qualified_at and unqualified_reason consistent', async t => {
    t.match(await make(call, 'leads', { status: 'qualified' }), { qualified_at: /^20/ })
    const { id } = await make(call, 'leads', {})
    const to = async (status: string) =>
      (await call(`PATCH /api/leads/${id}`, { status })).json<Json>()
    const qualified = await to('qualified')
    t.match(qualified, { status: 'qualified', qualified_at: /^20/, version: 2 })
    t.same(await to('qualified'), qualified, 'the same again changes nothing')
    t.match(await to('contacted'), { qualified_at: null, version: 3 })
    await call(`POST /api/leads/${id}/qualification`, {
      outcome: 'unqualified',
      reason: 'No budget'
    })
    t.match(await to('new'), { unqualified_reason: null, version: 5 })
  })

  await t.test('is set by qualification, which is idempotent', async t => {
    const { id } = await make(call, 'leads', {})
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
      'a reason that is not named stays'
    )
    t.match((await call(path, {})).json(), {
      status: 'qualified',
      unqualified_reason: null,
      qualified_at: /^20/
    })
    t.match(
      (await call(path, { outcome: 'unqualified' })).json(),
      { status: 'unqualified', unqualified_reason: null },
      'nobody has to say why'
    )
    t.match((await call(path)).json(), { status: 'qualified' }, 'without a body it is qualified')
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
    t.match((await call('POST /api/leads', { unqualified_reason: ' ' })).json(), {
      status: 400,
      errors: [{ pointer: '/unqualified_reason' }]
    })
    const { id } = await make(call, 'leads', {
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
      'a form may send it back'
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
    const { id } = await make(call, 'leads', { source: 'walk' })
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
    const { id } = await make(call, 'leads', {})
    const campaign = await make(call, 'campaigns', { name: 'Spring' })
    const member = await make(call, 'campaign-members', { campaign_id: campaign.id, lead_id: id })
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
  const own = await make(call, 'leads', { assigned_to: seller.user.id })
  const others = await make(call, 'leads', { assigned_to: admin.user.id })
  const nobodys = await make(call, 'leads', {})
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
    'those without a grade last'
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

t.test('a conversion', async t => {
  const { call, user } = await organization(app)
  const stranger = await organization(app)

  await t.test('has sensible defaults', async t => {
    const owner = await user('user')
    const lead = await makeLead(call, person, { assigned_to: owner.user.id, status: 'qualified' })
    const answer = await call(`POST /api/leads/${lead.id}/conversion`, {})
    t.match([answer.statusCode, answer.headers.location], [201, `/api/leads/${lead.id}/conversion`])
    const made = answer.json()
    t.match(made, {
      lead: {
        id: lead.id,
        status: 'converted',
        converted_at: /^20/,
        qualified_at: /^20/,
        version: 2
      },
      account: { name: 'Müller & Söhne', assigned_to: owner.user.id },
      contact: { id: lead.contact_id, account_id: made.account.id, version: 2 },
      opportunity: {
        title: 'Müller & Söhne',
        lead_id: lead.id,
        account_id: made.account.id,
        stage: 'prospecting',
        assigned_to: owner.user.id
      },
      created: ['account', 'opportunity'],
      filled: { account: [], contact: ['account_id'], opportunity: [] },
      converted_at: made.lead.converted_at
    })
    t.same((await call(`GET /api/leads/${lead.id}/conversion`)).json(), made)
    t.match((await call(`GET /api/leads/${lead.id}/moves`)).json().data, [
      { from_stage: 'qualified', to_stage: 'converted' },
      { to_stage: 'qualified' }
    ])
    t.match((await call(`GET /api/leads/${lead.id}/history`)).json().data[0], {
      type: 'lead.updated',
      changed: ['converted_at', 'moved_at', 'status']
    })

    const second = (
      await call(
        'POST ' +
          `/api/leads/${(await makeLead(call, { ...person, email: null, company: 'MULLER & sohne ' })).id}/conversion`,
        {}
      )
    ).json()
    t.match(
      [second.account.id, second.created],
      [made.account.id, ['opportunity']],
      'the only account of that name is the one'
    )
    const third = (
      await call(
        'POST ' +
          `/api/leads/${(await make(call, 'leads', { contact_id: lead.contact_id })).id}/conversion`,
        {}
      )
    ).json()
    t.match(
      [third.account.id, third.filled.contact],
      [made.account.id, []],
      'as is that of the contact'
    )
    const bare = (
      await call(`POST /api/leads/${(await makeLead(call, null)).id}/conversion`, {})
    ).json()
    t.match(bare, {
      account: null,
      contact: null,
      opportunity: { title: /^Lead \d+$/, account_id: null },
      lead: { contact_id: null }
    })
    const alone = (
      await call(
        'POST ' +
          `/api/leads/${(await makeLead(call, { first_name: 'A', last_name: 'B' })).id}/conversion`,
        {}
      )
    ).json()
    t.match(alone, { account: null, opportunity: { title: 'A B' } })
  })

  await t.test('into nothing creates nothing', async t => {
    const lead = await makeLead(call)
    const before = await totals(call)
    const none = (
      await call(`POST /api/leads/${lead.id}/conversion`, {
        account: null,
        contact: null,
        opportunity: null
      })
    ).json()
    t.match(none, {
      account: null,
      contact: null,
      opportunity: null,
      created: [],
      lead: { status: 'converted', contact_id: lead.contact_id }
    })
    t.same(await totals(call), before)
  })

  await t.test('fills only empty fields of existing records', async t => {
    const account = await make(call, 'accounts', { name: 'Filled Ltd', city: 'Bonn' })
    const contact = await make(call, 'contacts', { first_name: 'A', last_name: 'B', phone: '1' })
    const opportunity = await make(call, 'opportunities', {
      title: 'Sale',
      amount: 5.5,
      stage: 'proposal',
      probability: 60
    })
    const { id } = await make(call, 'leads', {})
    const made = (
      await call(`POST /api/leads/${id}/conversion`, {
        account: {
          id: account.id,
          name: 'Other',
          city: 'Ulm',
          annual_revenue: 0.29,
          employee_count: null
        },
        contact: { id: contact.id, phone: '2', email: 'a@example.com' },
        opportunity: {
          id: opportunity.id,
          title: 'Other',
          amount: 7,
          stage: 'won',
          close_date: '2027-01-31'
        }
      })
    ).json()
    t.match(made, {
      account: {
        id: account.id,
        name: 'Filled Ltd',
        city: 'Bonn',
        annual_revenue: 0.29,
        version: 2
      },
      contact: {
        id: contact.id,
        phone: '1',
        email: 'a@example.com',
        account_id: account.id,
        version: 2
      },
      opportunity: {
        id: opportunity.id,
        title: 'Sale',
        amount: 5.5,
        stage: 'proposal',
        close_date: '2027-01-31',
        lead_id: id,
        account_id: account.id,
        version: 2
      },
      lead: { contact_id: contact.id },
      created: [],
      filled: {
        account: ['annual_revenue'],
        contact: ['account_id', 'email'],
        opportunity: ['account_id', 'close_date', 'lead_id']
      }
    })
  })

  await t.test('with an invalid part is refused with a pointer and writes nothing', async t => {
    const gone = await make(call, 'accounts', { name: 'Gone' })
    await call(`DELETE /api/accounts/${gone.id}`)
    const theirs = {
      account: await make(stranger.call, 'accounts', { name: 'Theirs' }),
      contact: await make(stranger.call, 'contacts', person),
      opportunity: await make(stranger.call, 'opportunities', { title: 'Theirs' })
    }
    const lead = await makeLead(call, { ...person, email: null, company: 'Fresh Company' })
    const before = await totals(call)
    const unknown = (pointer: string) => ({
      status: 422,
      code: 'unknown_reference',
      errors: [{ pointer }]
    })
    for (const [body, expected] of [
      [{ account: { id: 999_999 } }, unknown('/account/id')],
      [{ account: { id: gone.id } }, unknown('/account/id')],
      [{ account: { id: theirs.account.id, city: 'Bonn' } }, unknown('/account/id')],
      [{ contact: { id: theirs.contact.id } }, unknown('/contact/id')],
      [{ opportunity: { id: theirs.opportunity.id } }, unknown('/opportunity/id')],
      [
        { account: { name: 'New', parent_account_id: theirs.account.id } },
        unknown('/account/parent_account_id')
      ],
      [{ account: { name: 'New', tags: [999_999] } }, unknown('/account/tags')],
      [{ account: null, opportunity: { account_id: gone.id } }, unknown('/opportunity/account_id')],
      [{ opportunity: { assigned_to: 999_999 } }, unknown('/opportunity/assigned_to')],
      [
        { contact: { company: 'Fresh Company' } },
        {
          status: 422,
          code: 'rule_broken',
          errors: [{ pointer: '/contact/first_name' }, { pointer: '/contact/last_name' }]
        }
      ],
      [
        { contact: null, account: {} },
        { status: 422, code: 'rule_broken', errors: [{ pointer: '/account/name' }] }
      ],
      [
        { opportunity: { stage: 'nowhere' } },
        { status: 422, errors: [{ pointer: '/opportunity/stage' }] }
      ],
      [
        { contact: { first_name: 'A', last_name: 'B', email: 'nobody' } },
        { status: 400, errors: [{ pointer: '/contact/email' }] }
      ],
      [
        { opportunity: { lead_id: 1 } },
        { status: 400, errors: [{ pointer: '/opportunity/lead_id' }] }
      ],
      [{ nonsense: 1 }, { status: 400, errors: [{ pointer: '/nonsense' }] }]
    ] as [object, object][])
      t.match(
        (await call(`POST /api/leads/${lead.id}/conversion`, body)).json(),
        expected,
        JSON.stringify(body)
      )
    t.same(await totals(call), before)
    t.same(await get(call, `leads/${lead.id}`), lead)
    t.equal((await get(call, `contacts/${String(lead.contact_id)}`)).version, 1)
    t.equal((await call(`GET /api/leads/${lead.id}/conversion`)).statusCode, 404)
  })

  await t.test('is forbidden to viewers and invisible to other organizations', async t => {
    const lead = await makeLead(call)
    const viewer = await user('viewer')
    t.equal((await viewer.call(`POST /api/leads/${lead.id}/conversion`, {})).statusCode, 403)
    await call(`POST /api/leads/${lead.id}/conversion`, { opportunity: null }, lenient)
    for (const method of ['POST', 'GET', 'DELETE'])
      t.equal(
        (
          await stranger.call(
            `${method} /api/leads/${lead.id}/conversion`,
            method === 'POST' ? {} : undefined
          )
        ).statusCode,
        404,
        method
      )
    t.match(
      [
        (await viewer.call(`GET /api/leads/${lead.id}/conversion`)).statusCode,
        (await viewer.call(`DELETE /api/leads/${lead.id}/conversion`)).statusCode
      ],
      [200, 403]
    )
    await call(`DELETE /api/leads/${lead.id}`)
    for (const method of ['POST', 'GET', 'DELETE'])
      t.equal(
        (
          await call(
            `${method} /api/leads/${lead.id}/conversion`,
            method === 'POST' ? {} : undefined
          )
        ).statusCode,
        404,
        `${method} of a deleted lead`
      )
  })
})

t.test('likely duplicates', async t => {
  const { call } = await organization(app)
  const contact = await make(call, 'contacts', person)
  const account = await make(call, 'accounts', {
    name: 'Straße & Café',
    website: 'https://www.Example.com/about'
  })
  await make(call, 'accounts', {
    name: 'Straße & Café Holding',
    website: 'https://example.com.evil.org'
  })
  await make(call, 'contacts', {
    ...person,
    email: 'xzoe.mueller@example.com',
    company: 'Müller & Söhne AG'
  })
  const lead = await makeLead(call, null)
  const before = await totals(call)
  const convert = async (body: object, headers = {}) =>
    await call(
      `POST /api/leads/${lead.id}/conversion`,
      { account: null, contact: null, opportunity: null, ...body },
      headers
    )
  const refused = (matches: object[]) => ({ status: 409, code: 'likely_duplicate', matches })

  await t.test('are a 409 with the matches, and nothing is written', async t => {
    for (const [body, matches] of [
      [
        { contact: { first_name: 'Z', last_name: 'M', email: 'ZOE.mueller@EXAMPLE.com' } },
        [{ type: 'contact', id: contact.id, name: 'Zoë Müller', by: ['email'] }]
      ],
      [
        { contact: { first_name: 'ZOE', last_name: 'muller', company: 'Muller & Sohne' } },
        [{ type: 'contact', id: contact.id, by: ['first_name', 'last_name', 'company'] }]
      ],
      [
        { contact: person },
        [{ id: contact.id, by: ['email', 'first_name', 'last_name', 'company'] }]
      ],
      [
        { account: { name: 'STRASSE & cafe' } },
        [{ type: 'account', id: account.id, name: 'Straße & Café', by: ['name'] }]
      ],
      [
        { account: { name: 'Other', website: 'example.com' } },
        [{ type: 'account', id: account.id, by: ['website'] }]
      ],
      [
        { account: { name: 'Other', website: 'http://EXAMPLE.com:8080/x' }, contact: person },
        [
          { type: 'account', id: account.id },
          { type: 'contact', id: contact.id }
        ]
      ]
    ] as [object, object[]][]) {
      const answer = (await convert(body)).json()
      t.match(answer, refused(matches), JSON.stringify(body))
      t.equal(answer.matches.length, matches.length)
    }
    t.same(await totals(call), before)
    t.same(await get(call, `leads/${lead.id}`), lead)
  })

  await t.test(
    'of the contact\'s company are a conflict only if there are several',
    async t => {
      for (let i = 0; i < 2; i++) await make(call, 'accounts', { name: 'Twins' })
      const { id } = await makeLead(call, { first_name: 'T', last_name: 'T', company: 'twins' })
      t.match((await call(`POST /api/leads/${id}/conversion`, {})).json(), {
        status: 409,
        matches: [{ by: ['name'] }, { by: ['name'] }]
      })
      t.match((await call(`POST /api/leads/${id}/conversion`, {}, lenient)).json(), {
        account: { name: 'twins' },
        created: ['account', 'opportunity']
      })
    }
  )

  await t.test('are accepted by handling=lenient', async t => {
    t.equal((await convert({ contact: person }, { prefer: 'handling=strict' })).statusCode, 409)
    const answer = await convert({ contact: person }, { prefer: 'respond-async, handling=lenient' })
    t.match(
      [answer.statusCode, answer.headers['preference-applied'], answer.json().created],
      [201, 'handling=lenient', ['contact']]
    )
    const near = await make(call, 'leads', {})
    t.equal(
      (
        await call(`POST /api/leads/${near.id}/conversion`, {
          contact: { first_name: 'Zoë', last_name: 'Müller', company: 'Müller' },
          opportunity: null
        })
      ).statusCode,
      201,
      'what is only similar is none'
    )
  })
})

t.test('converting twice', async t => {
  const { call } = await organization(app)

  await t.test('returns the first result, whatever is requested', async t => {
    const lead = await makeLead(call)
    const first = (await call(`POST /api/leads/${lead.id}/conversion`, {})).json()
    const again = await call(`POST /api/leads/${lead.id}/conversion`, {
      account: { name: 'Another' },
      contact: null,
      opportunity: { title: 'Another' }
    })
    t.same([again.statusCode, again.json()], [200, first])
    t.match((await call(`PATCH /api/leads/${lead.id}`, { status: 'new' })).json(), {
      status: 409,
      code: 'impossible_move',
      allowed: []
    })
    t.match((await call(`POST /api/leads/${lead.id}/qualification`, {})).json(), {
      status: 409,
      allowed: [],
      errors: [{ pointer: '/outcome' }]
    })
    t.equal(
      (await call(`PATCH /api/leads/${lead.id}`, { status: 'converted', source: 'form' }))
        .statusCode,
      200,
      'while a form that was loaded can be saved'
    )
  })

  await t.test('with a stale If-Match is refused, unless the lead is converted already', async t => {
    const lead = await makeLead(call, { ...person, company: 'Stale Ltd' })
    const before = await totals(call)
    const ask = async (method: string, version: number) =>
      await call(`${method} /api/leads/${lead.id}/conversion`, method === 'POST' ? {} : undefined, {
        'if-match': `"${version}"`
      })
    const refused = await ask('POST', 9)
    t.match([refused.statusCode, refused.json().code, refused.headers.etag], [412, 'stale', '"1"'])
    t.same(await totals(call), before)
    t.same(await get(call, `leads/${lead.id}`), lead)
    t.equal((await ask('DELETE', 9)).statusCode, 404, 'there is nothing to take back')

    const first = await ask('POST', 1)
    t.match([first.statusCode, first.headers.etag, first.json().lead.version], [201, '"2"', 2])
    const retried = await ask('POST', 1)
    t.match(
      [retried.statusCode, retried.headers.etag, retried.json()],
      [200, '"2"', first.json()],
      'whoever got no answer hears what came of it'
    )

    const kept = await ask('DELETE', 1)
    t.match([kept.statusCode, kept.headers.etag], [412, '"2"'])
    t.same((await call(`GET /api/leads/${lead.id}/conversion`)).json(), first.json())
    const undone = await ask('DELETE', 2)
    t.match([undone.statusCode, undone.headers.etag, undone.json().lead.version], [200, '"3"', 3])
    t.equal((await ask('DELETE', 2)).statusCode, 404)
    const twenty = await Promise.all(Array.from({ length: 20 }, async () => await ask('POST', 3)))
    t.same(statuses(twenty), [...Array.from({ length: 19 }, () => 200), 201])
    t.equal(
      (await call(`POST /api/leads/${lead.id}/conversion`, {}, { 'if-match': '2' })).statusCode,
      400
    )
  })

  await t.test('twenty times concurrently creates one conversion', async t => {
    const lead = await makeLead(call, { ...person, company: 'Twenty Ltd' })
    const before = await totals(call)
    const answers = await Promise.all(
      Array.from(
        { length: 20 },
        async () => await call(`POST /api/leads/${lead.id}/conversion`, {})
      )
    )
    t.same(statuses(answers), [...Array.from({ length: 19 }, () => 200), 201])
    t.equal(new Set(answers.map(({ body }) => body)).size, 1, 'and all tell the same')
    t.same(
      await totals(call),
      before.map((count, i) => count + (i >= 2 ? 1 : 0)),
      'one account and one opportunity more'
    )
  })

  await t.test(
    'twenty leads into the same account and contact lose nothing and do not deadlock',
    async t => {
      const account = await make(call, 'accounts', { name: 'Common' })
      const contact = await make(call, 'contacts', { first_name: 'C', last_name: 'C' })
      const ids = await Promise.all(
        Array.from({ length: 20 }, async () => (await make(call, 'leads', {})).id)
      )
      const fields = [
        'industry',
        'website',
        'phone',
        'address',
        'city',
        'state',
        'country',
        'postal_code'
      ]
      const answers = await Promise.all(
        ids.map(
          async (id, i) =>
            await call(`POST /api/leads/${id}/conversion`, {
              account: { id: account.id, [fields[i % 8]!]: `by ${id}` },
              contact: { id: contact.id, position: `by ${id}` }
            })
        )
      )
      t.same(
        statuses(answers),
        Array.from({ length: 20 }, () => 201)
      )
      const filled = answers.flatMap(
        answer => answer.json<{ filled: { account: string[] } }>().filled.account
      )
      t.same(filled.toSorted(), fields.toSorted(), 'each field was filled once')
      t.equal((await get(call, `accounts/${account.id}`)).version, 9)
      t.equal((await get(call, `contacts/${contact.id}`)).version, 2)
    }
  )
})

t.test('undoing a conversion', async t => {
  const { call, id: organization_id } = await organization(app)
  const undo = async (id: number) => (await call(`DELETE /api/leads/${id}/conversion`)).json()
  const convert = async (id: number, body: object = {}) =>
    (await call(`POST /api/leads/${id}/conversion`, body, lenient)).json()

  await t.test('restores everything as it was', async t => {
    const existing = await make(call, 'accounts', { name: 'Existing' })
    for (const status of ['new', 'qualified', 'unqualified']) {
      const made = await makeLead(call, null)
      await call(
        `POST /api/leads/${made.id}/qualification`,
        status === 'unqualified' ? { outcome: 'unqualified', reason: 'No budget' } : {}
      )
      if (status === 'new') await call(`PATCH /api/leads/${made.id}`, { status })
      const lead = await get(call, `leads/${made.id}`)
      const before = await totals(call)
      const { contact, opportunity } = await convert(lead.id, {
        account: { id: existing.id, annual_revenue: 0.29, employee_count: 7 },
        contact: person,
        opportunity: {}
      })
      const undone = await undo(lead.id)
      const { version: _v, updated_at: _u, moved_at: _m, ...told } = lead
      t.match(
        undone,
        {
          lead: told,
          left: [],
          undone: [
            { type: 'opportunity', id: opportunity.id },
            { type: 'contact', id: contact.id },
            { type: 'account', id: existing.id, fields: ['annual_revenue', 'employee_count'] }
          ]
        },
        status
      )
      t.same(await totals(call), before)
      t.match(await get(call, `accounts/${existing.id}`), {
        annual_revenue: null,
        employee_count: null
      })
      t.equal((await call(`GET /api/leads/${lead.id}/conversion`)).statusCode, 404)
      t.equal((await call(`DELETE /api/leads/${lead.id}/conversion`)).statusCode, 404)
      t.equal(
        (await call(`POST /api/leads/${lead.id}/conversion`, {})).statusCode,
        201,
        'and it can be converted anew'
      )
      t.match(
        (await call(`GET /api/leads/${lead.id}/moves`))
          .json()
          .data.map((move: { to_stage: string }) => move.to_stage)
          .slice(0, 4),
        ['converted', status, 'converted', status]
      )
    }
    const events = await app.services.database
      .pool`select type, count(*) from events where organization_id = ${organization_id}
        and subject_type = 'conversion' group by 1 order by 1`
    t.same(
      events.map(({ type, count }) => [type, count]),
      [
        ['conversion.created', 6],
        ['conversion.deleted', 3]
      ]
    )
  })

  await t.test('keeps what has changed since, and reports it', async t => {
    const account = await make(call, 'accounts', { name: 'Partly' })
    const lead = await makeLead(call, null)
    const { contact, opportunity } = await convert(lead.id, {
      account: { id: account.id, city: 'Bonn', state: 'NRW' },
      contact: person,
      opportunity: {}
    })
    await call(`PATCH /api/accounts/${account.id}`, { city: 'Ulm' })
    await call(`PATCH /api/opportunities/${opportunity.id}`, { amount: 5 })
    const other = await make(call, 'contacts', person)
    await call(`PATCH /api/leads/${lead.id}`, { contact_id: other.id })
    const activity = await make(call, 'activities', {
      type: 'call',
      subject: 'Talk',
      links: [{ type: 'contact', id: contact.id }]
    })
    t.match(await undo(lead.id), {
      lead: { status: 'new', contact_id: other.id, converted_at: null },
      undone: [{ type: 'account', id: account.id, fields: ['state'] }],
      left: [
        { type: 'lead', reason: /contact_id/ },
        { type: 'opportunity', id: opportunity.id, reason: 'It has changed since.' },
        { type: 'contact', id: contact.id, reason: 'It is used by activities.' },
        { type: 'account', id: account.id, reason: 'city has changed since.' }
      ]
    })
    t.match(await get(call, `accounts/${account.id}`), { city: 'Ulm', state: null })
    await call(`DELETE /api/activities/${activity.id}`)
  })

  await t.test('keeps records that others refer to', async t => {
    const campaign = await make(call, 'campaigns', { name: 'C' })
    for (const [part, use, reason] of [
      [
        'account',
        (id: number) => make(call, 'contacts', { ...person, account_id: id }),
        'contacts'
      ],
      [
        'account',
        (id: number) => make(call, 'opportunities', { title: 'T', account_id: id }),
        'opportunities'
      ],
      [
        'account',
        (id: number) => make(call, 'accounts', { name: 'Child', parent_account_id: id }),
        'accounts'
      ],
      ['contact', (id: number) => make(call, 'leads', { contact_id: id }), 'leads'],
      [
        'contact',
        (id: number) =>
          make(call, 'campaign-members', { campaign_id: campaign.id, contact_id: id }),
        'campaign members'
      ],
      [
        'opportunity',
        (id: number) =>
          make(call, 'activities', {
            type: 'note',
            subject: 'N',
            links: [{ type: 'opportunity', id }]
          }),
        'activities'
      ],
      [
        'account',
        async (id: number) =>
          await convert((await makeLead(call, null)).id, { account: { id }, opportunity: null }),
        'conversions'
      ]
    ] as [string, (id: number) => Promise<unknown>, string][]) {
      const lead = await makeLead(call, null)
      const made = await convert(lead.id, {
        account: { name: 'Pointed At' },
        contact: person,
        opportunity: {}
      })
      await use(made[part].id as number)
      t.match(
        (await undo(lead.id)).left.find(({ type }: { type: string }) => type === part)?.reason,
        new RegExp(`used by .*${reason}`),
        `${part} by ${reason}`
      )
      t.equal(
        (
          await call(
            `GET /api/${part === 'opportunity' ? 'opportunities' : `${part}s`}/${made[part].id}`
          )
        ).statusCode,
        200
      )
    }
  })

  await t.test('reports a deleted record', async t => {
    const lead = await makeLead(call, null)
    const { contact } = await convert(lead.id, { contact: person })
    await call(`DELETE /api/contacts/${contact.id}`)
    t.match((await call(`GET /api/leads/${lead.id}/conversion`)).json(), {
      contact: null,
      created: ['account', 'contact', 'opportunity']
    })
    t.match((await undo(lead.id)).left, [{ type: 'contact', reason: 'It has been deleted since.' }])
  })

  await t.test(
    'twenty concurrent conversions and undos end as one or none',
    async t => {
      const lead = await makeLead(call, { ...person, company: 'Back And Forth' })
      const before = await totals(call)
      const answers = await Promise.all(
        Array.from({ length: 20 }, async (_, i) =>
          i % 2
            ? await call(`POST /api/leads/${lead.id}/conversion`, {})
            : await call(`DELETE /api/leads/${lead.id}/conversion`)
        )
      )
      const made = answers.filter(({ statusCode }) => statusCode === 201).length
      const undone = answers.filter((answer, i) => i % 2 === 0 && answer.statusCode === 200).length
      for (const { statusCode, body } of answers)
        t.ok([200, 201, 404].includes(statusCode), body.slice(0, 200))
      t.ok(made - undone === 0 || made - undone === 1, `${made} made, ${undone} undone`)
      t.same(
        await totals(call),
        before.map((count, i) => count + (i >= 2 ? made - undone : 0))
      )
      t.equal((await get(call, `leads/${lead.id}`)).status, made > undone ? 'converted' : 'new')
    }
  )

  await t.test(
    'of leads that share their records, while others are converted into them, waits for ' +
      'nobody in vain',
    async t => {
      const account = await make(call, 'accounts', { name: 'Shared' })
      const contact = await make(call, 'contacts', { first_name: 'S', last_name: 'S' })
      const leads = await Promise.all(
        ['email', 'phone', 'company', 'position'].map(async (field, i) => ({
          ...(await make(call, 'leads', {})),
          into: {
            account: { id: account.id, [['city', 'state', 'country', 'address'][i]!]: 'X' },
            contact: { id: contact.id, [field]: 'x@example.com' }
          }
        }))
      )
      for (let round = 0; round < 30; round++) {
        const answers = await Promise.all(
          leads.map(async ({ id, into }, i) =>
            round % 2 === i % 2
              ? await call(`POST /api/leads/${id}/conversion`, into)
              : await call(`DELETE /api/leads/${id}/conversion`)
          )
        )
        for (const { statusCode, body } of answers)
          t.ok(
            [200, 201].includes(statusCode) || (round === 0 && statusCode === 404),
            body.slice(0, 200)
          )
      }
    }
  )
})

t.test('a lead that was converted elsewhere has no conversion, and gets none', async t => {
  const { call, id: organization_id } = await organization(app)
  const { id } = await make(call, 'leads', {})
  await app.services.database.pool`update leads set status = 'converted', version = version + 1
      where organization_id = ${organization_id} and id = ${id}`
  t.equal((await call(`GET /api/leads/${id}/conversion`)).statusCode, 404)
  t.match((await call(`POST /api/leads/${id}/conversion`, {})).json(), {
    status: 409,
    code: 'conflict'
  })
})

t.test('with 5,000 rows, no statement of a conversion scans a table', async t => {
  const { call, id: organization_id } = await organization(app)
  const sql = app.services.database.pool
  const [first] = await sql<
    [{ pipeline_id: number }]
  >`select id as pipeline_id from pipelines where organization_id = ${organization_id}`
  const campaign = await make(call, 'campaigns', { name: 'Many' })
  await sql.begin(async sql => {
    await sql`set local statement_timeout = '60s'`
    const ids = async (table: string) =>
      (
        await sql.unsafe<[{ id: number }]>(
          `select min(id) - 1 as id from ${table} where organization_id = ${organization_id}`
        )
      )[0].id
    await sql`insert into accounts (organization_id, name, website)
      select ${organization_id}, 'Account ' || n, 'https://www.site' || n || '.example.com'
      from generate_series(1, 5000) n`
    await sql`insert into contacts (organization_id, first_name, last_name, email, company,
      account_id)
      select ${organization_id}, 'First' || n % 100, 'Last' || n % 700,
        'mail' || n || '@example.com', 'Company ' || n % 300, ${await ids('accounts')}::bigint + n
        from generate_series(1, 5000) n`
    await sql`insert into leads (organization_id, contact_id)
      select ${organization_id}, ${await ids('contacts')}::bigint + n
      from generate_series(1, 5000) n`
    await sql`insert into opportunities (organization_id, pipeline_id, title, account_id, lead_id)
      select ${organization_id}, ${first.pipeline_id}, 'Sale', ${await ids('accounts')}::bigint + n,
        ${await ids('leads')}::bigint + n from generate_series(1, 5000) n`
    await sql`insert into campaign_members (organization_id, campaign_id, contact_id)
      select ${organization_id}, ${campaign.id}, ${await ids('contacts')}::bigint + n
      from generate_series(1, 5000) n`
    await sql`insert into activities (organization_id, type, subject, links)
      select ${organization_id}, 'note', 'N',
        jsonb_build_array(jsonb_build_object('type', 'account', 'id',
        ${await ids('accounts')}::bigint + n),
        jsonb_build_object('type', 'contact', 'id', ${await ids('contacts')}::bigint + n),
        jsonb_build_object('type', 'opportunity', 'id', ${await ids('opportunities')}::bigint + n))
      from generate_series(1, 5000) n`
    await sql`insert into conversions
      (organization_id, lead_id, account_id, contact_id, opportunity_id, lead_before, traces)
      select ${organization_id}, ${await ids('leads')}::bigint + n,
        ${await ids('accounts')}::bigint + n, ${await ids('contacts')}::bigint + n,
        ${await ids('opportunities')}::bigint + n, '{}', '{}' from generate_series(2, 5000) n`
  })
  await sql`vacuum analyze`

  /** The plans of the statements of a request, those within its transaction as well. */
  async function plansWithin(request: string, body?: object): Promise<string[]> {
    const sent: [string, never[]][] = []
    const begin = sql.begin.bind(sql)
    sql.begin = (async (work: (connection: TransactionSql) => Promise<unknown>) =>
      await begin(async connection => {
        const unsafe = connection.unsafe.bind(connection)
        connection.unsafe = ((text: string, values: never[], options: object) => {
          sent.push([text, values])
          return unsafe(text, values, options)
        }) as typeof sql.unsafe
        return await work(connection)
      })) as typeof sql.begin
    const answer = await call(request, body).finally(() => {
      sql.begin = begin
    })
    if (answer.statusCode >= 300) throw new Error(answer.body)
    return await Promise.all(
      sent.map(async ([text, values]) =>
        (await sql.unsafe(`explain ${text}`, values))
          .map(row => String(row['QUERY PLAN']))
          .join('\n')
      )
    )
  }
  const whole =
    /Seq Scan on (accounts|contacts|leads|opportunities|conversions|campaign_members|activity_links|moves)/
  const { id } = await make(call, 'leads', {})
  const converting = await plansWithin(`POST /api/leads/${id}/conversion`, {
    account: { name: 'Account 17x', website: 'site4711x.example.com' },
    contact: {
      first_name: 'First77',
      last_name: 'Last77',
      company: 'Company 77x',
      email: 'mail777x@example.com'
    }
  })
  const undoing = await plansWithin(`DELETE /api/leads/${id}/conversion`)
  t.ok(converting.length > 10 && undoing.length > 10)
  for (const plan of [...converting, ...undoing]) t.notMatch(plan, whole)
  const searches = converting.filter(plan => plan.includes('search_pattern') || plan.includes('~~'))
  t.equal(searches.length, 4)
  for (const plan of searches) t.match(plan, /idx_(contacts|accounts)_search/)
})

t.test(
  'no deadlock between changes of leads, conversions and undos around one ' +
    'contact, with turns and a model',
  async t => {
    const { call, user } = await organization(app)
    const members = [(await user('user')).user.id, (await user('user')).user.id]
    const team_id = (await call('POST /api/teams', { name: 'Team', member_ids: members })).json().id
    for (const resource of ['leads', 'accounts', 'opportunities'])
      await call('POST /api/assignment-rules', {
        name: resource,
        resource,
        status: 'active',
        team_id
      })
    await call('POST /api/scoring-models', {
      name: 'Model',
      status: 'active',
      rules: [{ field: 'contact.company', operator: 'null', value: 'false', points: 5 }]
    })
    const account = (await call('POST /api/accounts', { name: 'Shared' })).json().id
    for (let round = 0; round < 3; round++) {
      const contact_id = (
        await call('POST /api/contacts', {
          first_name: 'A',
          last_name: 'B',
          company: `Company ${round}`
        })
      ).json().id
      const leads = await Promise.all(
        Array.from(
          { length: 6 },
          async () =>
            (await call('POST /api/leads', { contact_id, assigned_to: null })).json().id as number
        )
      )
      const made = await Promise.all([
        ...leads.map(
          async (id, i) =>
            await call(
              `POST /api/leads/${id}/conversion`,
              i % 2 ? { account: { id: account } } : { account: { name: `New ${round} ${i}` } },
              { prefer: 'handling=lenient' }
            )
        ),
        ...Array.from({ length: 8 }, async () => await call('POST /api/leads', { contact_id }))
      ])
      t.same([...new Set(made.map(({ statusCode }) => statusCode))], [201])
      const undone = await Promise.all(
        leads.map(async id => await call(`DELETE /api/leads/${id}/conversion`))
      )
      t.same([...new Set(undone.map(({ statusCode }) => statusCode))], [200])
    }
  }
)

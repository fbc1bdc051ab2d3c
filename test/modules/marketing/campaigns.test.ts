import t from 'tap'
import { application, organization, work, type Call } from '../../support/app.ts'
import { analyze, plansOf } from '../../support/plans.ts'
import { behavesLikeARecord } from '../../support/record.ts'

interface Cell {
  value: number
  list: string
  filter: string
}
type Made = Record<string, unknown> & { id: number }
const app = await application(t)
const sql = app.services.database.pool

async function make(call: Call, resource: string, body: object = {}): Promise<Made> {
  const answer = await call(`POST /api/${resource}`, body)
  if (answer.statusCode !== 201) throw new Error(answer.body)
  return answer.json()
}
const contact = (call: Call, body: object = {}) =>
  make(call, 'contacts', { first_name: 'A', last_name: 'B', ...body })
const campaign = (call: Call) => make(call, 'campaigns', { name: 'Fair' })
const membersOf = async (call: Call, id: number): Promise<Made[]> =>
  (await call(`GET /api/campaign-members?campaign_id=${id}&sort=id&limit=200`)).json().data

t.test('a campaign', t =>
  behavesLikeARecord(t, app, '/api/campaigns', {
    valid: () => ({
      name: 'Fair',
      type: 'event',
      start_date: '2028-02-29',
      end_date: '2028-02-29',
      budget: 0.29
    }),
    change: { name: 'Another fair' },
    invalid: [
      [{ name: ' ' }, '/name'],
      [{ type: 'letter' }, '/type'],
      [{ status: null }, '/status'],
      [{ start_date: '2027-02-29' }, '/start_date'],
      [{ end_date: 'soon' }, '/end_date'],
      [{ budget: -1 }, '/budget'],
      [{ budget: 1e10 }, '/budget'],
      [{ budget: 0.001 }, '/budget'],
      [{ description: 5 }, '/description'],
      [{ tags: 'x' }, '/tags']
    ]
  })
)

t.test('a campaign member', t =>
  behavesLikeARecord(t, app, '/api/campaign-members', {
    valid: async call => ({
      campaign_id: (await campaign(call)).id,
      contact_id: (await contact(call)).id
    }),
    change: { status: 'sent' },
    turns: ['added', 'sent'],
    invalid: [
      [{ campaign_id: null }, '/campaign_id'],
      [{ contact_id: 0 }, '/contact_id'],
      [{ status: 'maybe' }, '/status'],
      [{ responded_at: null }, '/responded_at']
    ]
  })
)

t.test('a campaign cannot end before it starts', async t => {
  const { call } = await organization(app)
  const refused = { status: 422, code: 'rule_broken', errors: [{ pointer: '/end_date' }] }
  t.match(
    (
      await call('POST /api/campaigns', {
        name: 'X',
        start_date: '2027-03-02',
        end_date: '2027-03-01'
      })
    ).json(),
    refused
  )
  const { id } = await make(call, 'campaigns', {
    name: 'X',
    start_date: '2027-03-01',
    end_date: '2027-03-02'
  })
  t.match(
    (await call(`PATCH /api/campaigns/${id}`, { end_date: '2027-02-28' })).json(),
    refused,
    'not when only its end is changed'
  )
  t.match(
    (await call(`PATCH /api/campaigns/${id}`, { start_date: '2027-03-03' })).json(),
    refused,
    'nor when only its beginning is'
  )
  t.match(
    (await call(`PATCH /api/campaigns/${id}`, { start_date: null, end_date: '2020-01-01' })).json(),
    { version: 2 }
  )
})

t.test('members', async t => {
  const { call, admin } = await organization(app)
  const stranger = await organization(app)
  const { id: campaign_id } = await campaign(call)
  const { id: contact_id } = await contact(call)
  const { id: lead_id } = await make(call, 'leads')

  await t.test('a member is either an existing contact or an existing lead', async t => {
    t.match((await call('POST /api/campaign-members', { campaign_id })).json(), {
      status: 422,
      code: 'rule_broken',
      errors: [{ pointer: '/contact_id' }]
    })
    t.match(
      (await call('POST /api/campaign-members', { campaign_id, contact_id, lead_id })).json(),
      { status: 422, code: 'rule_broken', errors: [{ pointer: '/lead_id' }] }
    )
    const gone = {
      campaign_id: (await campaign(call)).id,
      contact_id: (await contact(call)).id,
      lead_id: (await make(call, 'leads')).id
    }
    const theirs = {
      campaign_id: (await campaign(stranger.call)).id,
      contact_id: (await contact(stranger.call)).id,
      lead_id: (await make(stranger.call, 'leads')).id
    }
    await Promise.all([
      call(`DELETE /api/campaigns/${gone.campaign_id}`),
      call(`DELETE /api/contacts/${gone.contact_id}`),
      call(`DELETE /api/leads/${gone.lead_id}`)
    ])
    for (const other of [
      gone,
      theirs,
      { campaign_id: 999_999, contact_id: 999_999, lead_id: 999_999 }
    ]) {
      for (const [body, pointer] of [
        [{ campaign_id: other.campaign_id, contact_id }, '/campaign_id'],
        [{ campaign_id, contact_id: other.contact_id }, '/contact_id'],
        [{ campaign_id, lead_id: other.lead_id }, '/lead_id']
      ] as const) {
        t.match((await call('POST /api/campaign-members', body)).json(), {
          status: 422,
          code: 'unknown_reference',
          errors: [{ pointer }]
        })
      }
    }
    t.same(await membersOf(call, campaign_id), [])
  })

  await t.test('a contact or lead is a member once, and a membership does not move', async t => {
    const { id } = await make(call, 'campaign-members', { campaign_id, contact_id })
    await make(call, 'campaign-members', { campaign_id, lead_id, contact_id: null })
    for (const body of [{ contact_id }, { lead_id }]) {
      t.match((await call('POST /api/campaign-members', { campaign_id, ...body })).json(), {
        status: 409,
        code: 'duplicate',
        errors: [{ pointer: `/${Object.keys(body)[0]}` }]
      })
    }
    await make(call, 'campaign-members', { campaign_id: (await campaign(call)).id, contact_id })
    for (const body of [{ campaign_id }, { contact_id }, { lead_id }])
      t.equal((await call(`PATCH /api/campaign-members/${id}`, body)).statusCode, 400)
    await call(`DELETE /api/campaign-members/${id}`)
    const again = await make(call, 'campaign-members', { campaign_id, contact_id })
    t.match((await call(`POST /api/campaign-members/${id}/restore`)).json(), {
      status: 409,
      code: 'duplicate'
    })
    const {
      data: [shown]
    } = (
      await call(`GET /api/campaign-members?id=${again.id}&include=campaign,contact,lead`)
    ).json()
    t.match(shown.included, {
      campaign: { id: campaign_id },
      contact: { id: contact_id },
      lead: undefined
    })
  })

  await t.test('a response has its time', async t => {
    const { id } = await make(call, 'campaign-members', {
      campaign_id,
      contact_id: (await contact(call)).id
    })
    const become = async (status: string) =>
      (await call(`PATCH /api/campaign-members/${id}`, { status })).json()
    t.equal((await become('sent')).responded_at, null)
    const responded = await become('responded')
    t.match(responded, { version: 3, responded_at: /Z$/ })
    t.same(await become('responded'), responded, 'once')
    t.match(
      await become('declined'),
      { version: 4, responded_at: responded.responded_at },
      'whatever it says after that'
    )
    t.equal((await become('added')).responded_at, null, 'until it has not')
    t.match(
      await make(call, 'campaign-members', {
        campaign_id,
        contact_id: (await contact(call)).id,
        status: 'declined'
      }),
      { responded_at: /Z$/ }
    )
    t.equal(
      (await call(`PATCH /api/campaign-members/${id}`, { status: 'sent' }, { 'if-match': '"1"' }))
        .statusCode,
      412
    )
  })

  await t.test('twenty concurrent additions of the same member add one', async t => {
    const { id } = await contact(call)
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        call('POST /api/campaign-members', { campaign_id, contact_id: id })
      )
    )
    t.same(
      answers.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b),
      [201, ...Array.from({ length: 19 }, () => 409)]
    )
  })

  await t.test('campaigns can be searched and filtered by user and tags', async t => {
    const { id: tag } = await make(call, 'tags', { name: 'spring' })
    const { id } = await make(call, 'campaigns', {
      name: 'Trade shów',
      assigned_to: admin.user.id,
      tags: [tag]
    })
    const { data } = (
      await call(
        'GET ' +
          `/api/campaigns?q=show&assigned_to=${admin.user.id}&tags[any]=${tag}&include=assigned_to,tags`
      )
    ).json()
    t.match(data, [
      { id, included: { assigned_to: { id: admin.user.id }, tags: [{ name: 'spring' }] } }
    ])
  })
})

t.test('adding members by a filter', async t => {
  const { call, admin, id: organization_id } = await organization(app)
  const stranger = await organization(app)
  const { id } = await campaign(call)
  const add = async (body: object) => (await call(`POST /api/campaigns/${id}/members`, body)).json()
  for (const company of ['Éxample Corp', 'Sample', 'The examples', null])
    await contact(call, { company })
  await contact(stranger.call, { company: 'Example' })
  const web = await make(call, 'leads', { source: 'website', score: 50 })
  await make(call, 'leads', { source: 'fair' })

  t.same(await add({ resource: 'contacts', filter: 'company[like]=example' }), {
    added: 2,
    pending: false
  })
  t.same(
    await add({ resource: 'contacts', filter: 'company[like]=ample' }),
    { added: 1, pending: false },
    'who is a member already is left as he is'
  )
  t.same(await add({ resource: 'leads', filter: 'source=website&score[gte]=50' }), {
    added: 1,
    pending: false
  })
  t.same(
    await add({ resource: 'leads', filter: 'source=website&score[gte]=50' }),
    { added: 0, pending: false },
    'and again adds nobody'
  )
  const members = await membersOf(call, id)
  t.match(
    [members.length, members.at(-1)],
    [4, { lead_id: web.id, status: 'added', created_by: admin.user.id }]
  )

  await t.test(
    'an invalid filter and an unknown campaign are refused',
    async t => {
      for (const [resource, filter] of [
        ['contacts', 'source=website'],
        ['contacts', 'company[like]='],
        ['contacts', 'limit=5'],
        ['leads', 'company[like]=x'],
        ['leads', 'score=high'],
        ['leads', 'sort=id']
      ] as const) {
        t.match(
          await add({ resource, filter }),
          { status: 422, code: 'rule_broken', errors: [{ pointer: '/filter' }] },
          `${resource}?${filter}`
        )
      }
      t.match(await add({ resource: 'accounts', filter: '' }), {
        status: 400,
        errors: [{ pointer: '/resource' }]
      })
      t.match(await add({ resource: 'contacts' }), {
        status: 400,
        errors: [{ pointer: '/filter' }]
      })
      const body = { resource: 'contacts', filter: '' }
      t.equal((await stranger.call(`POST /api/campaigns/${id}/members`, body)).statusCode, 404)
      t.equal((await call('POST /api/campaigns/999999/members', body)).statusCode, 404)
      t.equal((await membersOf(call, id)).length, 4)
    }
  )

  await t.test(
    'more than a thousand are added by a job, for the user who requested it, and twenty times at ' +
      'once still once each',
    async t => {
      await sql`insert into contacts (organization_id, first_name, last_name, company)
        select ${organization_id}, 'A', 'B', 'Many' from generate_series(1, 3500) n`
      const gone = await campaign(call)
      t.match(
        (
          await call(`POST /api/campaigns/${gone.id}/members`, {
            resource: 'contacts',
            filter: 'company=Many'
          })
        ).json(),
        { added: 1000, pending: true }
      )
      await call(`DELETE /api/campaigns/${gone.id}`)
      const many = await campaign(call)
      const answers = await Promise.all(
        Array.from({ length: 20 }, async () =>
          (
            await call(`POST /api/campaigns/${many.id}/members`, {
              resource: 'contacts',
              filter: 'company=Many'
            })
          ).json()
        )
      )
      t.equal(
        answers.reduce((sum, { added }) => sum + (added as number), 0),
        1000,
        JSON.stringify(answers)
      )
      await work(app)
      const counts = await sql`select campaign_id, count(*) as members, count(distinct contact_id)
          as contacts, min(created_by) as by, max(created_by) as by_also from campaign_members
          where campaign_id in ${sql([gone.id, many.id])} group by 1 order by 1`
      t.match(
        counts,
        [
          { campaign_id: gone.id, members: 1000 },
          {
            campaign_id: many.id,
            members: 3500,
            contacts: 3500,
            by: admin.user.id,
            by_also: admin.user.id
          }
        ],
        'and nobody more to a campaign that is gone'
      )
    }
  )
})

t.test('every number of the results is the total of its list', async t => {
  const { call } = await organization(app)
  const stranger = await organization(app)
  const { id } = await campaign(call)
  const results = async () => (await call(`GET /api/campaigns/${id}/results`)).json()
  t.match(await results(), {
    members: { value: 0 },
    response_rate: null,
    opportunities: { value: 0 },
    won_amount: { value: 0 }
  })

  const stages = [
    { stage: 'won' },
    { stage: 'lost', lost_reason: 'price' },
    { stage: 'proposal' },
    { stage: 'negotiation' }
  ]
  const sale = (lead_id: number | null, i: number) =>
    make(call, 'opportunities', {
      title: 'S',
      lead_id,
      ...stages[i % 4],
      ...(i % 5 > 0 && { amount: (i * 29 + 10) / 100 })
    })
  const statuses = ['added', 'sent', 'responded', 'declined', 'responded']
  for (let i = 0; i < 40; i++) {
    const { id: contact_id } = await contact(call)
    const { id: lead_id } = await make(call, 'leads', { contact_id })
    if (i % 3 === 0) await sale(lead_id, i) // before it was a member: that one does not count
    const member =
      i % 4 === 3
        ? undefined
        : await make(call, 'campaign-members', {
            campaign_id: id,
            status: statuses[i % 5],
            ...(i % 2 ? { contact_id } : { lead_id })
          })
    await sale(lead_id, i)
    // once more, by its contact: the sale counts once
    if (i % 8 === 0) await make(call, 'campaign-members', { campaign_id: id, contact_id })
    if (i === 17) await call(`DELETE /api/campaign-members/${member!.id}`)
    if (i === 18) await call(`DELETE /api/opportunities/${(await sale(lead_id, 4)).id}`)
  }
  await sale(null, 0)
  await campaign(stranger.call)

  const found = await results()
  const { response_rate, by_status, ...cells } = found as {
    response_rate: number
    by_status: Record<string, Cell>
  } & Record<string, Cell>
  const { members, responded, opportunities, won, open, lost } = cells as Record<string, Cell>
  t.ok(
    members!.value > 30 &&
      opportunities!.value > 20 &&
      won!.value > 2 &&
      found.won_amount.value > 0,
    JSON.stringify(found)
  )
  t.equal(response_rate, Math.round((responded!.value / members!.value) * 10_000) / 10_000)
  t.equal(won!.value + open!.value + lost!.value, opportunities!.value)
  for (const [name, { value, list, filter }] of [
    ...Object.entries(cells),
    ...Object.entries(by_status)
  ]) {
    const { data, has_more } = (await call(`GET ${list}?${filter}&limit=200`)).json()
    t.equal(has_more, false)
    const cents = (data as { amount: number | null }[]).reduce(
      (sum, { amount }) => sum + Math.round((amount ?? 0) * 100),
      0
    )
    t.equal(
      value,
      name.endsWith('_amount') ? cents / 100 : data.length,
      `${name}: ${list}?${filter}`
    )
  }
  t.equal((await stranger.call(`GET /api/campaigns/${id}/results`)).statusCode, 404)
})

t.test('with 20,000 members, every query uses an index', async t => {
  const { call, id: organization_id } = await organization(app)
  const many = 20_000
  await sql`insert into campaigns (organization_id, name, status, budget)
    select ${organization_id}, 'Campaign ' || n, 'planned', n from generate_series(1, 3000) n`
  const {
    data: [{ id }]
  } = (await call('GET /api/campaigns?sort=id&limit=1')).json()
  await sql.begin(async sql => {
    await sql`set local statement_timeout = '120s'`
    await sql`insert into contacts (organization_id, first_name, last_name, company)
      select ${organization_id}, 'A', 'B', 'Company ' || n % 100
      from generate_series(1, ${many}::int) n`
    await sql`insert into leads (organization_id, source, contact_id)
      select ${organization_id}, 'source ' || n % 100,
      (select min(id) from contacts where organization_id = ${organization_id}) + n - 1
      from generate_series(1, ${many}::int) n`
    // a thousand campaigns of twenty members: for one with a good part of all rows, Postgres
    // rightly reads the tables from end to end
    await sql`insert into campaign_members
      (organization_id, campaign_id, status, contact_id, lead_id)
      select ${organization_id}, ${id} + n % 1000,
        (array['added', 'sent', 'responded', 'declined'])[n % 4 + 1],
        case when n % 3 = 0 then (select min(id) from contacts
        where organization_id = ${organization_id}) + n - 1 end,
        case when n % 3 > 0 then (select min(id) from leads
        where organization_id = ${organization_id}) + n - 1 end
        from generate_series(1, ${many}::int) n`
    await sql`insert into opportunities (organization_id, pipeline_id, title, amount, lead_id)
      select ${organization_id}, (select id from pipelines
        where organization_id = ${organization_id}), 'Sale', n,
        (select min(id) from leads where organization_id = ${organization_id}) + n - 1
        from generate_series(1, ${many}::int) n`
  })
  await analyze(app)
  for (const url of [
    `/api/campaigns/${id}/results`,
    `/api/campaign-members?campaign_id=${id}`,
    `/api/campaign-members?campaign_id=${id}&status=responded`,
    `/api/campaign-members?campaign_id=${id}&sort=-created_at`,
    '/api/campaign-members?contact_id=17',
    '/api/campaign-members?lead_id=17',
    '/api/campaign-members?status=sent',
    `/api/opportunities?campaign_id=${id}`,
    `/api/leads?campaign_id=${id}`,
    '/api/campaigns?status=active',
    '/api/campaigns?budget[gte]=2990'
  ]) {
    for (const plan of await plansOf(app, () => call(`GET ${url}`)))
      t.notMatch(plan, /Seq Scan/, url, { plan })
  }
  t.match((await call(`GET /api/campaigns/${id}/results`)).json(), {
    members: { value: many / 1000 },
    opportunities: { value: many / 1000 }
  })
})

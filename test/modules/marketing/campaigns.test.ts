import t from 'tap'
import { application, organization } from '../../support/app.ts'
import { analyze, plansOf } from '../../support/plans.ts'
import { behavesLikeARecord } from '../../support/record.ts'
import { create, contact, campaign, membersOf } from './campaigns.ts'

const app = await application(t)
const sql = app.services.database.pool

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
  const { id } = await create(call, 'campaigns', {
    name: 'X',
    start_date: '2027-03-01',
    end_date: '2027-03-02'
  })
  t.match(
    (await call(`PATCH /api/campaigns/${id}`, { end_date: '2027-02-28' })).json(),
    refused,
    'also when only the end changes'
  )
  t.match(
    (await call(`PATCH /api/campaigns/${id}`, { start_date: '2027-03-03' })).json(),
    refused,
    'also when only the start changes'
  )
  t.match(
    (await call(`PATCH /api/campaigns/${id}`, { start_date: null, end_date: '2020-01-01' })).json(),
    { version: 2 }
  )
})

t.test('members', async t => {
  const { call, admin } = await organization(app)
  const other = await organization(app)
  const { id: campaign_id } = await campaign(call)
  const { id: contact_id } = await contact(call)
  const { id: lead_id } = await create(call, 'leads')

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
      lead_id: (await create(call, 'leads')).id
    }
    const theirs = {
      campaign_id: (await campaign(other.call)).id,
      contact_id: (await contact(other.call)).id,
      lead_id: (await create(other.call, 'leads')).id
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
    const { id } = await create(call, 'campaign-members', { campaign_id, contact_id })
    await create(call, 'campaign-members', { campaign_id, lead_id, contact_id: null })
    for (const body of [{ contact_id }, { lead_id }]) {
      t.match((await call('POST /api/campaign-members', { campaign_id, ...body })).json(), {
        status: 409,
        code: 'duplicate',
        errors: [{ pointer: `/${Object.keys(body)[0]}` }]
      })
    }
    await create(call, 'campaign-members', { campaign_id: (await campaign(call)).id, contact_id })
    for (const body of [{ campaign_id: 999_999 }, { contact_id: 999_999 }, { lead_id }])
      t.equal((await call(`PATCH /api/campaign-members/${id}`, body)).statusCode, 409)
    await call(`DELETE /api/campaign-members/${id}`)
    const again = await create(call, 'campaign-members', { campaign_id, contact_id })
    t.match((await call(`POST /api/campaign-members/${id}/restore`)).json(), {
      status: 409,
      code: 'duplicate'
    })
    const deleted = (await campaign(call)).id
    const orphan = await create(call, 'campaign-members', { campaign_id: deleted, contact_id })
    await call(`DELETE /api/campaign-members/${orphan.id}`)
    await call(`DELETE /api/campaigns/${deleted}`)
    t.match((await call(`POST /api/campaign-members/${orphan.id}/restore`)).json(), {
      status: 409,
      code: 'conflict',
      detail: 'The campaign was deleted: restore it first.'
    })
    await call(`POST /api/campaigns/${deleted}/restore`)
    t.equal((await call(`POST /api/campaign-members/${orphan.id}/restore`)).statusCode, 200)
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
    const { id } = await create(call, 'campaign-members', {
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
      'later changes keep the time'
    )
    t.equal((await become('added')).responded_at, null, 'clearing the response clears the time')
    t.match(
      await create(call, 'campaign-members', {
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
    const { id: tag } = await create(call, 'tags', { name: 'spring' })
    const { id } = await create(call, 'campaigns', {
      name: 'Trade shów',
      assigned_to: admin.user.id,
      tags: [tag]
    })
    const filter = `assigned_to=${admin.user.id}&tags[any]=${tag}`
    const { data } = (
      await call(`GET /api/campaigns?q=show&${filter}&include=assigned_to,tags`)
    ).json()
    t.match(data, [
      { id, included: { assigned_to: { id: admin.user.id }, tags: [{ name: 'spring' }] } }
    ])
  })
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

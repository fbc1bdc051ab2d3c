import t from 'tap'
import { application, organization, work } from '../../support/app.ts'
import { create, contact, campaign, membersOf } from './campaigns.ts'

interface Cell {
  value: number
  list: string
  filter: string
}
const app = await application(t)
const sql = app.services.database.pool

t.test('adding members by a filter', async t => {
  const { call, admin, id: organization_id } = await organization(app)
  const other = await organization(app)
  const { id } = await campaign(call)
  const add = async (body: object) => (await call(`POST /api/campaigns/${id}/members`, body)).json()
  for (const company of ['Éxample Corp', 'Sample', 'The examples', null])
    await contact(call, { company })
  await contact(other.call, { company: 'Example' })
  const web = await create(call, 'leads', { source: 'website', score: 50 })
  await create(call, 'leads', { source: 'fair' })

  t.same(await add({ resource: 'contacts', filter: 'company[like]=example' }), {
    added: 2,
    pending: false
  })
  t.same(
    await add({ resource: 'contacts', filter: 'company[like]=ample' }),
    { added: 1, pending: false },
    'existing members are unchanged'
  )
  t.same(await add({ resource: 'leads', filter: 'source=website&score[gte]=50' }), {
    added: 1,
    pending: false
  })
  t.same(
    await add({ resource: 'leads', filter: 'source=website&score[gte]=50' }),
    { added: 0, pending: false },
    'a repeated request adds nobody'
  )
  const members = await membersOf(call, id)
  t.match(
    [members.length, members.at(-1)],
    [4, { lead_id: web.id, status: 'added', created_by: admin.user.id }]
  )

  await t.test('an invalid filter and an unknown campaign are refused', async t => {
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
    t.equal((await other.call(`POST /api/campaigns/${id}/members`, body)).statusCode, 404)
    t.equal((await call('POST /api/campaigns/999999/members', body)).statusCode, 404)
    t.equal((await membersOf(call, id)).length, 4)
  })

  await t.test(
    'more than a thousand are added by a job, for the user who requested it',
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
        'nobody is added to a deleted campaign'
      )
    }
  )
})

t.test('every number of the results is the total of its list', async t => {
  const { call } = await organization(app)
  const other = await organization(app)
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
    create(call, 'opportunities', {
      title: 'S',
      lead_id,
      ...stages[i % 4],
      ...(i % 5 > 0 && { amount: (i * 29 + 10) / 100 })
    })
  const statuses = ['added', 'sent', 'responded', 'declined', 'responded']
  for (let i = 0; i < 40; i++) {
    const { id: contact_id } = await contact(call)
    const { id: lead_id } = await create(call, 'leads', { contact_id })
    if (i % 3 === 0) await sale(lead_id, i) // before it was a member: that one does not count
    const member =
      i % 4 === 3
        ? undefined
        : await create(call, 'campaign-members', {
            campaign_id: id,
            status: statuses[i % 5],
            ...(i % 2 ? { contact_id } : { lead_id })
          })
    await sale(lead_id, i)
    // once more, by its contact: the sale counts once
    if (i % 8 === 0) await create(call, 'campaign-members', { campaign_id: id, contact_id })
    if (i === 17) await call(`DELETE /api/campaign-members/${member!.id}`)
    if (i === 18) await call(`DELETE /api/opportunities/${(await sale(lead_id, 4)).id}`)
  }
  await sale(null, 0)
  await campaign(other.call)

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
  t.equal((await other.call(`GET /api/campaigns/${id}/results`)).statusCode, 404)
})

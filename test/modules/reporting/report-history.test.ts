// What happened stays as it was reported, whatever is deleted or was expected.
import t from 'tap'
import { application, organization } from '../../support/app.ts'
import { addedUp, listed, names, report } from './reports.ts'

const app = await application(t)

t.test('a sale counts in the month in which it was won, whatever was expected', async t => {
  const { call } = await organization(app)
  const sale = async (body: object) =>
    (await call('POST /api/opportunities', { title: 'Sale', amount: 10, ...body })).json()
  const won = await sale({ close_date: '2024-03-15', stage: 'won' })
  const older = await sale({ close_date: '2031-03-15', stage: 'won', amount: 20 })
  await sale({ close_date: '2024-03-15', amount: 40 })
  const sql = app.services.database.pool
  const closeAt = async (id: number, at: string) =>
    await sql`update opportunities set closed_at = ${at} where id = ${id}`
  await closeAt(won.id, '2026-11-30T23:59:59.999Z')
  await closeAt(older.id, '2026-12-01T00:00:00.000Z')
  const { data, totals } = await report(call, 'forecast')
  t.match(data, [
    { month: '2024-03', status: 'open', count: 1, amount: 40 },
    { month: '2026-11', status: 'won', count: 1, amount: 10 },
    { month: '2026-12', status: 'won', count: 1, amount: 20 }
  ])
  for (const row of [...data, ...totals]) t.match(row, addedUp(row, await listed(call, row)))
  await call(`PATCH /api/opportunities/${won.id}`, { stage: 'proposal' })
  t.match(
    (await report(call, 'forecast')).data,
    [
      { month: '2024-03', status: 'open', amount: 50 },
      { month: '2026-12', status: 'won' }
    ],
    'a reopened one is expected in the month of its close_date'
  )
})

t.test('deleting what a sale came from does not rewrite its source or its campaign', async t => {
  const { call } = await organization(app)
  const create = async (path: string, body: object): Promise<number> =>
    (await call(`POST /api/${path}`, body)).json().id
  const contact_id = await create('contacts', { first_name: 'A', last_name: 'B' })
  const campaign_id = await create('campaigns', { name: 'Fair' })
  const byContact = await create('leads', { source: 'fair', contact_id })
  const byLead = await create('leads', { source: 'website' })
  await create('campaign-members', { campaign_id, contact_id })
  await create('campaign-members', { campaign_id, lead_id: byLead })
  for (const lead_id of [byContact, byLead])
    await create('opportunities', { title: 'Sale', amount: 10, lead_id, stage: 'won' })

  const sourcesOf = async (query = '') =>
    (await report(call, `sources?${query}`)).data.filter(({ amount }) => amount !== null)
  const listOf = async (filter: string) =>
    (await call(`GET /api/opportunities?${filter}`)).json().data
  const figures = async () => ({
    sources: await sourcesOf(),
    ofCampaign: await sourcesOf(`campaign_id=${campaign_id}`),
    results: (await call(`GET /api/campaigns/${campaign_id}/results`)).json(),
    ofContact: await listOf(`contact_id=${contact_id}`),
    withoutSource: await listOf('lead_source[null]=true')
  })
  const before = await figures()
  t.match(before.sources, [
    { source: 'fair', measure: 'opportunities', count: 1 },
    { source: 'fair', measure: 'won', count: 1, amount: 10 },
    { source: 'website', measure: 'opportunities', count: 1 },
    { source: 'website', measure: 'won', count: 1, amount: 10 }
  ])
  t.match(before.results, { won: { value: 2 }, won_amount: { value: 20 } })
  t.match([before.ofContact.length, before.withoutSource], [1, []])

  for (const path of [`leads/${byContact}`, `leads/${byLead}`, `contacts/${contact_id}`])
    t.equal((await call(`DELETE /api/${path}`)).statusCode, 204)
  const after = await figures()
  t.same(after, before)
  for (const row of after.sources) t.match(row, addedUp(row, await listed(call, row)))
  await call(`DELETE /api/campaigns/${campaign_id}`)
  t.same(await sourcesOf(`campaign_id=${campaign_id}`), before.ofCampaign)
})

t.test('deleting a user or an account does not rewrite what they sold', async t => {
  const { call, user } = await organization(app)
  const { user: seller } = await user('user')
  const account = (await call('POST /api/accounts', { name: 'Corp' })).json()
  const sale = { title: 'Sale', amount: 10, account_id: account.id, assigned_to: seller.id }
  await call('POST /api/opportunities', { ...sale, stage: 'won' })
  await call('POST /api/activities', { type: 'call', subject: 'Talk', assigned_to: seller.id })
  const figures = async () => await Promise.all(names.map(async name => await report(call, name)))
  const before = await figures()
  for (const path of [`users/${seller.id}`, `accounts/${account.id}`])
    t.equal((await call(`DELETE /api/${path}`)).statusCode, 204)
  t.same(await figures(), before)
  t.match((await report(call, 'pipeline')).data, [{ assigned_to_name: seller.username }])
})

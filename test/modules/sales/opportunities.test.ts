import t from 'tap'
import { application, database, ownerOf } from '../../support/app.ts'
import { plansOf } from '../../support/plans.ts'
import { word, organizationWithPipelines } from './pipelines.ts'

const database_url = await database(t)
const app = await application(t, { database_url })
const sql = app.services.database.pool

t.test('twenty concurrent transitions are logged once each, without a gap', async t => {
  const { call, sales, stage, create, moves } = await organizationWithPipelines(app)
  const { id } = await create()
  const keys = ['prospecting', 'qualification', 'proposal', 'negotiation', 'won']
  const ends = async (i: number) => {
    const statuses: number[] = []
    for (let step = 0; step < 5; step++) {
      const body =
        (i + step) % 6 === 5
          ? { stage: 'lost', lost_reason: `Mover ${i}` }
          : { stage: keys[(i + step) % 5] }
      statuses.push((await call(`PATCH /api/opportunities/${id}`, body)).statusCode)
    }
    return statuses
  }
  const renamer = async () => {
    const statuses: number[] = []
    for (let n = 0; n < 5; n++)
      statuses.push(
        (await call(`PATCH /api/stages/${(await stage('proposal')).id}`, { probability: 40 + n }))
          .statusCode,
        (
          await call('POST /api/stages', {
            pipeline_id: sales,
            key: word(),
            name: 'X',
            probability: 1
          })
        ).statusCode
      )
    return statuses
  }
  const statuses = (
    await Promise.all([...Array.from({ length: 20 }, (_, i) => ends(i)), renamer()])
  ).flat()
  t.same(
    [...new Set(statuses)].toSorted((a, b) => a - b),
    [200, 201],
    'there is no deadlock and no timeout'
  )

  const chain = (await moves(id)).toReversed()
  const record = (await call(`GET /api/opportunities/${id}`)).json()
  t.equal(chain[0]!.from_stage, null)
  for (const [i, move] of chain.entries()) {
    if (i === 0) continue
    const before = chain[i - 1]!
    if (move.from_stage !== before.to_stage)
      t.fail(`transition ${i} leaves ${move.from_stage} after ${before.to_stage}`)
    if (
      move.seconds !== Math.floor((Date.parse(move.moved_at) - Date.parse(before.moved_at)) / 1000)
    )
      t.fail(`transition ${i} has ${move.seconds} s`)
  }
  t.match(record, { stage: chain.at(-1)!.to_stage, moved_at: chain.at(-1)!.moved_at })
  const events = await sql<
    { changed: string[] }[]
  >`select changed from events where subject_type = 'opportunity' and subject_id = ${id}`
  t.equal(events.filter(({ changed }) => changed.includes('stage')).length, chain.length - 1)
  t.equal(record.version, events.length, 'no update was lost')

  const versions = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      call(
        `PATCH /api/opportunities/${id}`,
        {
          stage: record.stage === 'proposal' ? 'won' : 'proposal',
          probability: record.stage === 'proposal' ? 100 : i
        },
        { 'if-match': `"${record.version}"` }
      )
    )
  )
  t.same(
    versions.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b),
    [200, ...Array.from({ length: 19 }, () => 412)],
    'of twenty with the same If-Match, one succeeds'
  )
})

t.test('virtual filters of opportunities', async t => {
  const { call, user, organization_id, sales, create } = await organizationWithPipelines(app)
  const other = await organizationWithPipelines(app)
  const found = async (query: string) =>
    (await call(`GET /api/opportunities?sort=id&${query}`))
      .json()
      .data.map(({ id }: { id: number }) => id)
  const add = async (path: string, body: object) =>
    (await call(`POST /api/${path}`, body)).json().id as number

  const contact_id = await add('contacts', { first_name: 'A', last_name: 'B' })
  const lead_id = await add('leads', { source: 'fair', contact_id })
  const silent = await add('leads', {})
  const gone = await add('leads', { source: 'fair', contact_id })
  const early = (await create({ lead_id })).id
  const campaign_id = await add('campaigns', { name: 'Spring' })
  await sql`update opportunities set created_at = now() - interval '1 hour' where id = ${early}`
  await add('campaign-members', { campaign_id, contact_id })
  const byContact = (await create({ lead_id })).id
  await add('campaign-members', { campaign_id, lead_id: silent })
  const byLead = (await create({ lead_id: silent })).id
  const none = (await create()).id
  const orphan = (await create({ lead_id: gone })).id
  await call(`DELETE /api/leads/${gone}`)
  await call(`PATCH /api/opportunities/${none}`, { stage: 'proposal' })
  await call(`PATCH /api/opportunities/${none}`, { stage: 'won' })
  await other.create()

  t.same(await found('entered_stage=proposal'), [none], 'a previous stage')
  t.same(await found('entered_stage=prospecting'), [early, byContact, byLead, none, orphan])
  t.same(await found('entered_stage=won&status=won'), [none])
  t.same(
    await found('lead_source=fair'),
    [early, byContact, orphan],
    'an opportunity keeps the source of a deleted lead'
  )
  t.same(await found('lead_source[null]=true'), [byLead, none])
  t.same(
    await found('lead_source[null]=false'),
    [early, byContact, orphan],
    'each has at most one source'
  )
  t.same(
    await found(`campaign_id=${campaign_id}`),
    [byContact, byLead, orphan],
    'of opportunities created after the membership'
  )
  t.same(await found(`contact_id=${contact_id}`), [early, byContact, orphan])
  t.same(await found('contact_id=999999'), [])
  const seller = await user('user')
  const own = (await create({ assigned_to: seller.user.id })).id
  const ofSeller = async (query: string) =>
    (await seller.call(`GET /api/opportunities?sort=id&${query}`))
      .json()
      .data.map(({ id }: { id: number }) => id)
  t.same([await ofSeller('mine=true'), await found('mine=true')], [[own], []])
  t.same(
    await ofSeller('mine=false'),
    [early, byContact, byLead, none, orphan],
    'unassigned ones are not mine'
  )
  for (const query of [`campaign_id=${campaign_id}`, `contact_id=${contact_id}`])
    t.same((await other.call(`GET /api/opportunities?${query}`)).json().data, [], query)
  t.equal((await call('GET /api/opportunities?entered_stage=No%20key')).statusCode, 400)

  await t.test('on indexes', async t => {
    const campaign = await other.call('POST /api/campaigns', { name: 'Theirs' })
    const companies = [
      [organization_id, sales, campaign_id],
      [other.organization_id, other.sales, campaign.json().id]
    ]
    await sql.begin(async sql => {
      await sql`set local statement_timeout = '120s'`
      for (const [organization, pipeline, campaign] of companies as [number, number, number][]) {
        await sql`insert into leads (organization_id, source)
          select ${organization}, 'source ' || n % 300 from generate_series(1, 15000) n`
        await sql`insert into campaign_members (organization_id, campaign_id, lead_id)
          select ${organization}, ${campaign}, id from leads where organization_id = ${organization}
            and source like ${campaign === campaign_id ? 'source 7' : 'source 1%'}`
        await sql`insert into opportunities (organization_id, pipeline_id, stage, title, lead_id)
          select ${organization}, ${pipeline}, 'prospecting', 'Sale', id from leads
            where organization_id = ${organization} and source like 'source%'`
      }
    })
    await ownerOf(app)`vacuum analyze`
    for (const query of [
      'entered_stage=proposal',
      'lead_source=source%207',
      'lead_source[null]=true',
      'lead_source[null]=false',
      `campaign_id=${campaign_id}`,
      `contact_id=${contact_id}`,
      'mine=true',
      'mine=false',
      `pipeline_id=${sales}&stage=proposal`
    ]) {
      for (const plan of await plansOf(app, () => call(`GET /api/opportunities?${query}`)))
        t.notMatch(plan, /Seq Scan/, query)
    }
    const { id } = await create()
    for (const request of [
      `GET /api/opportunities/${id}/moves`,
      `GET /api/stages?pipeline_id=${sales}&sort=position`
    ]) {
      for (const plan of await plansOf(app, () => call(request)))
        t.notMatch(plan, /Seq Scan on (moves|opportunities)/, request)
    }
  })
})

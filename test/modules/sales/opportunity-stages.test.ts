import t from 'tap'
import { application, database } from '../../support/app.ts'
import { organizationWithPipelines } from './pipelines.ts'

const database_url = await database(t)
const app = await application(t, { database_url })

t.test('the stage of an opportunity', async t => {
  const { call, sales, partners, stage, create, moves, admin } =
    await organizationWithPipelines(app)
  const change = async (id: number, changes: object) =>
    (await call(`PATCH /api/opportunities/${id}`, changes)).json()
  const wrong = (...pointers: string[]) => ({
    status: 422,
    code: 'rule_broken',
    errors: pointers.map(pointer => ({ pointer }))
  })

  await t.test(
    'is the first open one by default, with its probability unless one is given',
    async t => {
      t.match(await create(), {
        pipeline_id: sales,
        stage: 'prospecting',
        probability: 10,
        status: 'open',
        closed_at: null
      })
      t.match(await create({ stage: 'proposal', probability: 75 }), {
        stage: 'proposal',
        probability: 75
      })
      t.match(await create({ stage: 'won' }), { status: 'won', probability: 100, closed_at: /Z$/ })
      t.match(await create({ pipeline_id: partners }), { stage: 'contacted', probability: 20 })
    }
  )

  await t.test('must be one of its pipeline', async t => {
    const unknown = await create({ stage: 'signed' })
    t.match(unknown, wrong('/stage'))
    t.match(
      unknown.detail,
      /prospecting, qualification, proposal, negotiation, won, lost/,
      'the error lists the stages'
    )
    const { id } = await create()
    t.match(await change(id, { stage: 'contacted' }), wrong('/stage'))
    t.match(
      await change(id, { pipeline_id: partners }),
      wrong('/stage'),
      'another pipeline requires one of its stages'
    )
    t.match(await change(id, { pipeline_id: partners, stage: 'contacted' }), {
      pipeline_id: partners,
      stage: 'contacted',
      probability: 20
    })
  })

  await t.test('accepts the request of the SmartX document', async t => {
    const { id } = await create({ probability: 75 })
    t.match(await change(id, { stage: 'proposal', probability: 75 }), {
      stage: 'proposal',
      probability: 75
    })
    t.match(await change(id, { stage: 'negotiation' }), { probability: 75 })
    t.match(
      await change(id, { stage: 'qualification' }),
      { probability: 25 },
      'a transition without a probability takes that of the stage'
    )
    t.match(await change(id, { probability: 30 }), { stage: 'qualification', probability: 30 })
  })

  await t.test('sets closed_at when it closes, and requires a reason when lost', async t => {
    const { id } = await create()
    t.match(await change(id, { stage: 'lost' }), wrong('/lost_reason'))
    t.match(await create({ stage: 'lost' }), wrong('/lost_reason'))
    t.match(
      await change(id, { lost_reason: 'Too dear' }),
      wrong('/lost_reason'),
      'an open opportunity has none'
    )
    const lost = await change(id, { stage: 'lost', lost_reason: 'Too dear' })
    t.match(lost, { status: 'lost', probability: 0, closed_at: /Z$/, lost_reason: 'Too dear' })
    t.match(await change(id, { lost_reason: null }), wrong('/lost_reason'))
    t.match(await change(id, { lost_reason: 'Too late' }), {
      lost_reason: 'Too late',
      closed_at: lost.closed_at
    })
    t.match(await change(id, { stage: 'proposal', lost_reason: 'Too late' }), wrong('/lost_reason'))
    t.match(await change(id, { stage: 'proposal' }), {
      status: 'open',
      probability: 50,
      closed_at: null,
      lost_reason: null
    })
    const won = await change(id, { stage: 'won' })
    t.match(won, { status: 'won', probability: 100, closed_at: /Z$/ })
    const same = await change(id, {
      stage: 'won',
      probability: 100,
      lost_reason: null,
      title: won.title,
      amount: null
    })
    t.same(same, won, 'sending back what was read changes nothing')
  })

  await t.test('fixes the probability of a closed opportunity', async t => {
    const { id } = await create({ stage: 'won' })
    for (const body of [
      { stage: 'won', probability: 99 },
      { stage: 'lost', lost_reason: 'No', probability: 1 }
    ])
      t.match(await create(body), wrong('/probability'))
    t.match(await change(id, { probability: 99 }), wrong('/probability'))
    t.match(
      await change(id, { stage: 'lost', lost_reason: 'No', probability: 100 }),
      wrong('/probability')
    )
    t.equal((await call(`GET /api/opportunities/${id}`)).json().version, 1)
  })

  await t.test('requires the fields of the stage', async t => {
    t.match(
      await create({ pipeline_id: partners, stage: 'agreed' }),
      wrong('/amount', '/close_date')
    )
    const { id } = await create({ pipeline_id: partners, amount: 5 })
    t.match(await change(id, { stage: 'agreed' }), wrong('/close_date'))
    t.match(await change(id, { stage: 'agreed', close_date: '2026-12-31' }), {
      stage: 'agreed',
      probability: 80
    })
    t.match(await change(id, { amount: null }), wrong('/amount'), 'as long as it is set')
    t.match(await change(id, { amount: 6, lead_id: null }), { amount: 6 })
    t.match(await change(id, { stage: 'contacted', amount: null }), {
      stage: 'contacted',
      amount: null
    })
  })

  await t.test('changes only as the current stage allows', async t => {
    const { id } = await create({ pipeline_id: partners })
    t.match(await change(id, { stage: 'signed' }), {
      status: 409,
      code: 'impossible_move',
      allowed: ['agreed', 'gone'],
      errors: [{ pointer: '/stage' }]
    })
    t.match(await change(id, { stage: 'contacted' }), { version: 1 }, 'and may remain')
    t.match(await change(id, { stage: 'gone', lost_reason: 'No' }), { stage: 'gone' })
    t.match(
      await change(id, { stage: 'signed' }),
      { stage: 'signed', lost_reason: null },
      'a stage without next_stages allows all'
    )
  })

  await t.test('is logged as transitions', async t => {
    const { id } = await create()
    const { id: same } = (await call('POST /api/pipelines', { name: 'Same keys' })).json()
    await call(`PATCH /api/stages/${(await stage('won', same)).id}`, { name: 'Sold' })
    await change(id, { stage: 'proposal' })
    await change(id, { title: 'Another name' })
    await change(id, { stage: 'proposal', probability: 60 })
    await change(id, { pipeline_id: same })
    const transitions = await moves(id)
    t.match(transitions, [
      { from_stage: 'proposal', to_stage: 'proposal', pipeline_id: same, actor_id: admin.user.id },
      { from_stage: 'prospecting', to_stage: 'proposal', pipeline_id: sales, seconds: 0 },
      { from_stage: null, to_stage: 'prospecting', seconds: null }
    ])
    t.equal((await call(`GET /api/opportunities/${id}`)).json().moved_at, transitions[0]!.moved_at)
    t.ok(
      transitions[0]!.moved_at > transitions[1]!.moved_at,
      'a change of pipeline is a transition, also to a stage of the same key'
    )
    const first = await call(`GET /api/opportunities/${id}/moves?limit=2`)
    t.match(first.headers.link, /rel="next"/)
    const second = (
      await call(`GET /api/opportunities/${id}/moves?limit=2&cursor=${first.json().next_cursor}`)
    ).json()
    t.same([...first.json().data, ...second.data], transitions, 'across pages')
    t.equal((await call('GET /api/opportunities/999999999/moves')).statusCode, 404)
  })

  await t.test('a stale If-Match is refused before any rule', async t => {
    const { id } = await create({ pipeline_id: partners })
    const stale = await call(
      `PATCH /api/opportunities/${id}`,
      { stage: 'signed' },
      { 'if-match': '"3"' }
    )
    t.match([stale.statusCode, stale.headers.etag], [412, '"1"'])
    t.match((await call(`GET /api/opportunities/${id}?include=pipeline`)).json(), {
      stage: 'contacted',
      version: 1,
      included: { pipeline: { name: 'Partners' } }
    })
  })
})

t.test('a restored opportunity has the status that its stage has by then', async t => {
  const { call } = await organizationWithPipelines(app)
  const { id } = (
    await call('POST /api/opportunities', { title: 'Sale', stage: 'proposal' })
  ).json()
  await call(`DELETE /api/opportunities/${id}`)
  const [stage] = (await call('GET /api/stages?key=proposal')).json().data
  t.equal((await call(`PATCH /api/stages/${stage.id}`, { kind: 'won' })).statusCode, 200)
  t.match((await call(`POST /api/opportunities/${id}/restore`)).json(), {
    stage: 'proposal',
    status: 'won',
    probability: 100,
    closed_at: String
  })
})

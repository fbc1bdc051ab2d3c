import { randomBytes } from 'node:crypto'
import { pino } from 'pino'
import t from 'tap'
import { Context } from '../../../src/core/access/context.ts'
import { stageService } from '../../../src/modules/sales/stages/service.ts'
import { runPendingJobs } from '../../../src/jobs/runner.ts'
import { application, database, organization, type Call } from '../../support/app.ts'
import { plansOf } from '../../support/plans.ts'
import { behavesLikeARecord } from '../../support/record.ts'

interface Stage {
  id: number
  key: string
  position: number
  kind: string
  next_stages: string[] | null
}
interface Move {
  from_stage: string | null
  to_stage: string
  moved_at: string
  actor_id: number | null
  seconds: number | null
  pipeline_id: number
}
const database_url = await database(t)
const app = await application(t, { database_url })
const sql = app.services.database.pool
const word = () => `w${randomBytes(5).toString('hex')}`

/** An organisation with its default pipeline, and a second one with stages of its own. */
async function company() {
  const { id: organization_id, call, admin, user } = await organization(app)
  const [{ id: sales }] = (await call('GET /api/pipelines')).json().data
  const partners = (
    await call('POST /api/pipelines', {
      name: 'Partners',
      stages: [
        { key: 'contacted', name: 'Contacted', probability: 20, next_stages: ['agreed', 'gone'] },
        {
          key: 'agreed',
          name: 'Agreed',
          probability: 80,
          required_fields: ['amount', 'close_date']
        },
        { key: 'signed', name: 'Signed', kind: 'won' },
        { key: 'gone', name: 'Gone', kind: 'lost' }
      ]
    })
  ).json().id as number
  const stagesOf = async (pipeline_id: number) =>
    (await call(`GET /api/stages?pipeline_id=${pipeline_id}&sort=position`)).json().data as Stage[]
  const stage = async (key: string, pipeline_id = sales) =>
    (await stagesOf(pipeline_id)).find(stage => stage.key === key)!
  const make = async (fields: object = {}) =>
    (await call('POST /api/opportunities', { title: 'A sale', ...fields })).json()
  const moves = async (id: number) =>
    (await call(`GET /api/opportunities/${id}/moves?limit=200`)).json().data as Move[]
  const ctx = new Context(app.services, {
    organization_id,
    user_id: null,
    role: 'admin',
    session_id: null
  })
  return { organization_id, call, admin, user, sales, partners, stagesOf, stage, make, moves, ctx }
}

t.test('a pipeline', t =>
  behavesLikeARecord(t, app, '/api/pipelines', {
    valid: async (call: Call) => {
      // a name is one pipeline's: whoever had that of the change makes room for it
      for (const { id } of (await call('GET /api/pipelines?name=Field%20sales')).json().data)
        await call(`PATCH /api/pipelines/${id}`, { name: word() })
      return { name: word() }
    },
    change: { name: 'Field sales' },
    invalid: [
      [{ name: null }, '/name'],
      [{ is_default: 'yes' }, '/is_default'],
      [{ stages: [] }, '/stages'],
      [{ stages: [{ key: 'x' }] }, '/stages/0/name'],
      [{ stages: [{ key: 'X y', name: 'X' }] }, '/stages/0/key'],
      [{ stages: [{ key: 'x', name: 'X', position: 1 }] }, '/stages/0/position']
    ]
  })
)

t.test('a stage', t =>
  behavesLikeARecord(t, app, '/api/stages', {
    valid: async (call: Call) => ({
      pipeline_id: (await call('GET /api/pipelines')).json().data[0].id,
      key: word(),
      name: 'Demo',
      probability: 60
    }),
    change: { name: 'Demonstration' },
    invalid: [
      [{ key: '1st' }, '/key'],
      [{ key: 'Demo' }, '/key'],
      [{ pipeline_id: null }, '/pipeline_id'],
      [{ probability: 101 }, '/probability'],
      [{ kind: 'closed' }, '/kind'],
      [{ position: -1 }, '/position'],
      [{ required_fields: ['title'] }, '/required_fields/0'],
      [{ next_stages: ['a', 'a'] }, '/next_stages']
    ]
  })
)

t.test('pipelines', async t => {
  const { call, user, sales, partners, stagesOf, make } = await company()
  const stranger = await company()

  await t.test('an organization starts with a default pipeline of six stages', async t => {
    const [pipeline] = (await call('GET /api/pipelines?include=stages&sort=id')).json().data
    t.match(pipeline, {
      name: 'Sales',
      is_default: true,
      included: {
        stages: [
          { key: 'prospecting', probability: 10, kind: 'open' },
          { key: 'qualification', probability: 25 },
          { key: 'proposal', probability: 50 },
          { key: 'negotiation', probability: 75 },
          { key: 'won', probability: 100, kind: 'won' },
          { key: 'lost', probability: 0, kind: 'lost' }
        ]
      }
    })
  })

  await t.test('a pipeline is created with its stages, or with default ones', async t => {
    t.match(await stagesOf(partners), [
      { key: 'contacted', position: 1 },
      { key: 'agreed', position: 2 },
      { key: 'signed', position: 3, probability: 100 },
      { key: 'gone', position: 4, probability: 0 }
    ])
    const { id } = (await call('POST /api/pipelines', { name: 'Usual' })).json()
    t.equal(
      (await call(`GET /api/pipelines/${id}?include=stages`)).json().included.stages.length,
      6
    )
  })

  await t.test(
    'invalid stages are refused with a pointer, and no pipeline is created',
    async t => {
      const open = { key: 'a', name: 'A', probability: 10 }
      const cases: [object[], string][] = [
        [[open, { ...open, name: 'B' }], '/stages/1/key'],
        [[open, { key: 'b', name: 'B' }], '/stages/1/probability'],
        [
          [open, { key: 'won', name: 'Won', kind: 'won', probability: 90 }],
          '/stages/1/probability'
        ],
        [[{ ...open, next_stages: ['a'] }], '/stages/0/next_stages/0'],
        [
          [open, { key: 'b', name: 'B', probability: 1, next_stages: ['a', 'c'] }],
          '/stages/1/next_stages/1'
        ],
        [[{ key: 'won', name: 'Won', kind: 'won' }], '/stages']
      ]
      for (const [stages, pointer] of cases) {
        t.match(
          (await call('POST /api/pipelines', { name: 'Nonsense', stages })).json(),
          { status: 422, code: 'rule_broken', errors: [{ pointer }] },
          pointer
        )
      }
      t.same((await call('GET /api/pipelines?name=Nonsense')).json().data, [])
    }
  )

  await t.test('there is one default pipeline, which can be replaced', async t => {
    const other = await company()
    const before = (await other.call(`GET /api/pipelines/${other.sales}`)).json()
    t.match(
      (
        await other.call(
          `PATCH /api/pipelines/${other.partners}`,
          { is_default: true },
          { 'if-match': '"7"' }
        )
      ).statusCode,
      412
    )
    t.match(
      (await other.call(`GET /api/pipelines/${other.sales}`)).json(),
      before,
      'a stale If-Match takes nothing from the present one'
    )
    t.match(
      (await other.call(`PATCH /api/pipelines/${other.partners}`, { is_default: true })).json(),
      { is_default: true }
    )
    t.match((await other.call(`GET /api/pipelines/${other.sales}`)).json(), {
      is_default: false,
      version: 2
    })
    t.match(await other.make(), {
      pipeline_id: other.partners,
      stage: 'contacted',
      probability: 20
    })
    t.match(
      (await other.call(`PATCH /api/pipelines/${other.partners}`, { is_default: false })).json(),
      { status: 422, errors: [{ pointer: '/is_default' }] }
    )
    t.match((await other.call(`DELETE /api/pipelines/${other.partners}`)).json(), {
      status: 409,
      code: 'conflict'
    })
    const third = (
      await other.call('POST /api/pipelines', { name: 'Third', is_default: true })
    ).json()
    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        other.call(`PATCH /api/pipelines/${[other.sales, other.partners, third.id][i % 3]}`, {
          is_default: true
        })
      )
    )
    t.equal(
      (await other.call('GET /api/pipelines?is_default=true&count=exact')).json().total,
      1,
      'also after twenty at the same time'
    )
  })

  await t.test('a name is unique regardless of case', async t => {
    t.match((await call('POST /api/pipelines', { name: 'sALES' })).json(), {
      status: 409,
      code: 'duplicate',
      errors: [{ pointer: '/name' }]
    })
  })

  await t.test('a pipeline with opportunities cannot be deleted', async t => {
    const { id } = await make({ pipeline_id: partners })
    t.match((await call(`DELETE /api/pipelines/${partners}`)).json(), {
      status: 409,
      detail: /has 1 opportunities/
    })
    await call(`DELETE /api/opportunities/${id}`)
    t.equal((await call(`DELETE /api/pipelines/${partners}`)).statusCode, 204)
    t.match((await call('POST /api/opportunities', { title: 'T', pipeline_id: partners })).json(), {
      status: 422,
      errors: [{ pointer: '/pipeline_id' }]
    })
    t.match((await call(`POST /api/opportunities/${id}/restore`)).json(), {
      status: 409,
      detail: /pipeline is deleted/
    })
    await call(`POST /api/pipelines/${partners}/restore`)
    t.equal((await call(`POST /api/opportunities/${id}/restore`)).statusCode, 200)
  })

  await t.test('only admins change pipelines and stages; everybody reads them', async t => {
    const colleague = await user('user')
    const { id } = (await stagesOf(sales))[0]!
    for (const request of [
      'POST /api/pipelines',
      `PATCH /api/pipelines/${sales}`,
      `PATCH /api/stages/${id}`,
      `DELETE /api/stages/${id}`
    ]) {
      t.equal(
        (await colleague.call(request, request.startsWith('DELETE') ? undefined : { name: 'X' }))
          .statusCode,
        403,
        request
      )
    }
    t.equal(
      (await colleague.call(`GET /api/pipelines/${sales}?include=stages`)).json().included.stages
        .length,
      6
    )
  })

  await t.test('other organizations see and change nothing', async t => {
    const { id } = await make()
    const theirs = (await stagesOf(sales))[0]!
    t.same((await stranger.call(`GET /api/stages?pipeline_id=${sales}`)).json().data, [])
    for (const request of [
      `GET /api/opportunities/${id}/moves`,
      `DELETE /api/stages/${theirs.id}?move_to=proposal`,
      `DELETE /api/pipelines/${sales}`
    ])
      t.equal((await stranger.call(request)).statusCode, 404, request)
    for (const body of [
      { title: 'T', pipeline_id: sales },
      { title: 'T', pipeline_id: 999_999 }
    ]) {
      t.match((await stranger.call('POST /api/opportunities', body)).json(), {
        status: 422,
        code: 'unknown_reference',
        errors: [{ pointer: '/pipeline_id' }]
      })
    }
    const own = await stranger.make()
    t.match(
      (await stranger.call(`PATCH /api/opportunities/${own.id}`, { pipeline_id: sales })).json(),
      { status: 422, errors: [{ pointer: '/pipeline_id' }] }
    )
    t.match(
      (
        await stranger.call('POST /api/stages', {
          pipeline_id: sales,
          key: 'spy',
          name: 'Spy',
          probability: 1
        })
      ).json(),
      { status: 422, errors: [{ pointer: '/pipeline_id' }] }
    )
  })
})

t.test('stages', async t => {
  const { call, sales, stage, stagesOf, make } = await company()
  const add = async (key: string, fields: object = {}) =>
    (
      await call('POST /api/stages', {
        pipeline_id: sales,
        key,
        name: key,
        probability: 60,
        ...fields
      })
    ).json()

  await t.test(
    'a new stage is placed where a board shows it: an open one after the open ones, another ' +
      'one at the end',
    async t => {
      const { id } = (
        await call('POST /api/pipelines', {
          name: 'Board',
          stages: [
            { key: 'a', name: 'A', probability: 1 },
            { key: 'won', name: 'Won', kind: 'won' },
            { key: 'b', name: 'B', probability: 2 },
            { key: 'lost', name: 'Lost', kind: 'lost' }
          ]
        })
      ).json()
      const board = async () =>
        (await call(`GET /api/pipelines/${id}?include=stages`))
          .json()
          .included.stages.map(({ key, position }: Stage) => `${key} ${position}`)
      t.match(await add('c', { pipeline_id: id }), { position: 4, kind: 'open' })
      t.same(await board(), ['a 1', 'won 2', 'b 3', 'c 4', 'lost 5'])
      t.match(await add('gone', { pipeline_id: id, kind: 'lost', probability: 0 }), { position: 6 })
      await call(`PATCH /api/stages/${(await stage('lost', id)).id}`, { position: 9 })
      t.match(
        await add('d', { pipeline_id: id, position: 2 }),
        { position: 2 },
        'a position that is given is taken as it is'
      )
      t.same(await board(), ['a 1', 'won 2', 'd 2', 'b 3', 'c 4', 'gone 6', 'lost 9'])
      t.match(await add('e', { pipeline_id: id }), { position: 5 })
      t.same(
        await board(),
        ['a 1', 'won 2', 'd 2', 'b 3', 'c 4', 'e 5', 'gone 6', 'lost 9'],
        'where there is room nobody makes any'
      )
      await add('f', { pipeline_id: id, position: 9 })
      await call(`PATCH /api/stages/${(await stage('gone', id)).id}`, { position: 10 })
      const before = await board()
      t.match(await add('a', { pipeline_id: id }), { status: 409 })
      t.match(await add('g', { pipeline_id: id, probability: undefined }), { status: 422 })
      t.same(await board(), before, 'what is refused moves nothing')
      await Promise.all(Array.from({ length: 20 }, (_, i) => add(`p${i}`, { pipeline_id: id })))
      const positions = (await stagesOf(id))
        .slice(before.length - 1)
        .map(({ position }) => position)
      t.same(
        positions,
        Array.from({ length: 21 }, (_, i) => 10 + i),
        'twenty at the same time stand one after the other'
      )
      t.equal((await board()).at(-1), 'gone 30')
    }
  )

  await t.test("the key of a stage cannot be reused or changed", async t => {
    const demo = await add('demo')
    t.match(demo, { position: 5, kind: 'open', required_fields: [], next_stages: null })
    t.match(await add('demo'), { status: 409, code: 'duplicate', errors: [{ pointer: '/key' }] })
    await call(`DELETE /api/stages/${demo.id}`)
    t.match(
      await add('demo'),
      { status: 409, errors: [{ pointer: '/key' }] },
      'also when it is deleted'
    )
    t.equal((await call(`PATCH /api/stages/${demo.id}`, { key: 'other' })).statusCode, 400)
  })

  await t.test('the probability of won and lost stages is fixed', async t => {
    t.match(await add('signed', { kind: 'won', probability: 90 }), {
      status: 422,
      errors: [{ pointer: '/probability' }]
    })
    t.match(await add('signed', { kind: 'won', probability: undefined }), { probability: 100 })
    t.match(await add('vague', { probability: undefined }), {
      status: 422,
      errors: [{ pointer: '/probability' }]
    })
    const { id } = await add('trial')
    t.match((await call(`PATCH /api/stages/${id}`, { kind: 'lost', probability: 60 })).json(), {
      status: 422,
      errors: [{ pointer: '/probability' }]
    })
    t.match((await call(`PATCH /api/stages/${id}`, { kind: 'lost' })).json(), {
      kind: 'lost',
      probability: 0
    })
    t.match((await call(`PATCH /api/stages/${id}`, { probability: 5 })).json(), {
      status: 422,
      errors: [{ pointer: '/probability' }]
    })
  })

  await t.test('next stages are other stages of the pipeline', async t => {
    for (const next of ['nowhere', 'self', 'contacted'])
      t.match(
        await add('self', { next_stages: ['won', next] }),
        { status: 422, errors: [{ pointer: '/next_stages/1' }] },
        next
      )
    const { id } = await add('self', { next_stages: ['won'] })
    t.match((await call(`PATCH /api/stages/${id}`, { next_stages: ['self'] })).json(), {
      status: 422,
      errors: [{ pointer: '/next_stages/0' }]
    })
    t.match((await call(`PATCH /api/stages/${id}`, { next_stages: [] })).json(), {
      next_stages: []
    })
    t.match((await call(`PATCH /api/stages/${id}`, { next_stages: null })).json(), {
      next_stages: null
    })
  })

  await t.test('the kind of a stage in use cannot change, and one stage remains open', async t => {
    await make({ stage: 'negotiation' })
    const { id } = await stage('negotiation')
    t.match((await call(`PATCH /api/stages/${id}`, { kind: 'won' })).json(), {
      status: 409,
      detail: /has 1 opportunities/
    })
    const { id: pipeline_id } = (
      await call('POST /api/pipelines', {
        name: 'Short',
        stages: [
          { key: 'a', name: 'A', probability: 1 },
          { key: 'b', name: 'B', kind: 'won' }
        ]
      })
    ).json()
    const only = await stage('a', pipeline_id)
    t.match((await call(`PATCH /api/stages/${only.id}`, { kind: 'won' })).json(), {
      status: 409,
      detail: /open stage/
    })
    t.match((await call(`DELETE /api/stages/${only.id}`)).json(), {
      status: 409,
      detail: /open stage/
    })
  })
})

t.test('the stage of an opportunity', async t => {
  const { call, sales, partners, stage, make, moves, admin } = await company()
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
      t.match(await make(), {
        pipeline_id: sales,
        stage: 'prospecting',
        probability: 10,
        status: 'open',
        closed_at: null
      })
      t.match(await make({ stage: 'proposal', probability: 75 }), {
        stage: 'proposal',
        probability: 75
      })
      t.match(await make({ stage: 'won' }), { status: 'won', probability: 100, closed_at: /Z$/ })
      t.match(await make({ pipeline_id: partners }), { stage: 'contacted', probability: 20 })
    }
  )

  await t.test('must be one of its pipeline', async t => {
    const unknown = await make({ stage: 'signed' })
    t.match(unknown, wrong('/stage'))
    t.match(
      unknown.detail,
      /prospecting, qualification, proposal, negotiation, won, lost/,
      'and says which there are'
    )
    const { id } = await make()
    t.match(await change(id, { stage: 'contacted' }), wrong('/stage'))
    t.match(
      await change(id, { pipeline_id: partners }),
      wrong('/stage'),
      'another pipeline asks for one of its stages'
    )
    t.match(await change(id, { pipeline_id: partners, stage: 'contacted' }), {
      pipeline_id: partners,
      stage: 'contacted',
      probability: 20
    })
  })

  await t.test('accepts the request of the SmartX document', async t => {
    const { id } = await make({ probability: 75 })
    t.match(await change(id, { stage: 'proposal', probability: 75 }), {
      stage: 'proposal',
      probability: 75
    })
    t.match(await change(id, { stage: 'negotiation' }), { probability: 75 })
    t.match(
      await change(id, { stage: 'qualification' }),
      { probability: 25 },
      'a move without a probability takes that of the stage'
    )
    t.match(await change(id, { probability: 30 }), { stage: 'qualification', probability: 30 })
  })

  await t.test('sets closed_at when it closes, and requires a reason when lost', async t => {
    const { id } = await make()
    t.match(await change(id, { stage: 'lost' }), wrong('/lost_reason'))
    t.match(await make({ stage: 'lost' }), wrong('/lost_reason'))
    t.match(
      await change(id, { lost_reason: 'Too dear' }),
      wrong('/lost_reason'),
      'what is open has none'
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
    t.same(same, won, 'a form that sends all of it back changes nothing')
  })

  await t.test('fixes the probability of a closed opportunity', async t => {
    const { id } = await make({ stage: 'won' })
    for (const body of [
      { stage: 'won', probability: 99 },
      { stage: 'lost', lost_reason: 'No', probability: 1 }
    ])
      t.match(await make(body), wrong('/probability'))
    t.match(await change(id, { probability: 99 }), wrong('/probability'))
    t.match(
      await change(id, { stage: 'lost', lost_reason: 'No', probability: 100 }),
      wrong('/probability')
    )
    t.equal((await call(`GET /api/opportunities/${id}`)).json().version, 1)
  })

  await t.test('requires the fields of the stage', async t => {
    t.match(await make({ pipeline_id: partners, stage: 'agreed' }), wrong('/amount', '/close_date'))
    const { id } = await make({ pipeline_id: partners, amount: 5 })
    t.match(await change(id, { stage: 'agreed' }), wrong('/close_date'))
    t.match(await change(id, { stage: 'agreed', close_date: '2026-12-31' }), {
      stage: 'agreed',
      probability: 80
    })
    t.match(await change(id, { amount: null }), wrong('/amount'), 'as long as it is there')
    t.match(await change(id, { amount: 6, lead_id: null }), { amount: 6 })
    t.match(await change(id, { stage: 'contacted', amount: null }), {
      stage: 'contacted',
      amount: null
    })
  })

  await t.test('changes only as the current stage allows', async t => {
    const { id } = await make({ pipeline_id: partners })
    t.match(await change(id, { stage: 'signed' }), {
      status: 409,
      code: 'impossible_move',
      allowed: ['agreed', 'gone'],
      errors: [{ pointer: '/stage' }]
    })
    t.match(await change(id, { stage: 'contacted' }), { version: 1 }, 'and may stay')
    t.match(await change(id, { stage: 'gone', lost_reason: 'No' }), { stage: 'gone' })
    t.match(
      await change(id, { stage: 'signed' }),
      { stage: 'signed', lost_reason: null },
      'a stage that says nothing lets it go anywhere'
    )
  })

  await t.test('is logged as transitions', async t => {
    const { id } = await make()
    await call(
      'PATCH ' +
        `/api/stages/${(await stage('won', (await call('POST /api/pipelines', { name: 'Same keys' })).json().id)).id}`,
      { name: 'Sold' }
    )
    const [{ id: same }] = (await call('GET /api/pipelines?name=Same%20keys')).json().data
    await change(id, { stage: 'proposal' })
    await change(id, { title: 'Another name' })
    await change(id, { stage: 'proposal', probability: 60 })
    await change(id, { pipeline_id: same })
    const told = await moves(id)
    t.match(told, [
      { from_stage: 'proposal', to_stage: 'proposal', pipeline_id: same, actor_id: admin.user.id },
      { from_stage: 'prospecting', to_stage: 'proposal', pipeline_id: sales, seconds: 0 },
      { from_stage: null, to_stage: 'prospecting', seconds: null }
    ])
    t.equal((await call(`GET /api/opportunities/${id}`)).json().moved_at, told[0]!.moved_at)
    t.ok(
      told[0]!.moved_at > told[1]!.moved_at,
      'another pipeline is a move, also to a stage of the same name'
    )
    const first = await call(`GET /api/opportunities/${id}/moves?limit=2`)
    t.match(first.headers.link, /rel="next"/)
    const second = (
      await call(`GET /api/opportunities/${id}/moves?limit=2&cursor=${first.json().next_cursor}`)
    ).json()
    t.same([...first.json().data, ...second.data], told, 'page by page')
    t.equal((await call('GET /api/opportunities/999999999/moves')).statusCode, 404)
  })

  await t.test('a stale If-Match is refused before any rule', async t => {
    const { id } = await make({ pipeline_id: partners })
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

t.test('deleting a stage', async t => {
  const { call, admin, organization_id, sales, stage, make, moves, stagesOf, ctx } = await company()

  await t.test('an unused stage is deleted, and cannot be entered any more', async t => {
    const { id } = await stage('qualification')
    t.equal(
      (await call(`DELETE /api/stages/${id}`, undefined, { 'if-match': '"1"' })).statusCode,
      204
    )
    t.match(await make({ stage: 'qualification' }), {
      status: 422,
      errors: [{ pointer: '/stage' }]
    })
    t.equal((await call(`POST /api/stages/${id}/restore`)).statusCode, 200)
    t.match(await make({ stage: 'qualification' }), { stage: 'qualification' })
  })

  await t.test('a stage in use requires a target for its opportunities', async t => {
    const mine = await make({ stage: 'proposal', probability: 60 })
    const gone = await make({ stage: 'proposal' })
    await call(`DELETE /api/opportunities/${gone.id}`)
    const { id } = await stage('proposal')
    t.match((await call(`DELETE /api/stages/${id}`)).json(), {
      status: 409,
      code: 'conflict',
      detail: /has 1 opportunities.*move_to/
    })
    for (const move_to of ['nowhere', 'proposal', 'won']) {
      t.match(
        (await call(`DELETE /api/stages/${id}?move_to=${move_to}`)).json(),
        { status: 422, errors: [{ parameter: 'move_to' }] },
        move_to
      )
    }
    t.equal(
      (await call(`DELETE /api/stages/${id}?move_to=negotiation`, undefined, { 'if-match': '"4"' }))
        .statusCode,
      412
    )
    t.match(
      (await call(`GET /api/opportunities/${mine.id}`)).json(),
      mine,
      'and whatever was refused has changed nothing'
    )
    const from = await stage('prospecting')
    await call(`PATCH /api/stages/${from.id}`, { next_stages: ['proposal', 'lost'] })

    t.equal((await call(`DELETE /api/stages/${id}?move_to=negotiation`)).statusCode, 204)
    t.match((await call(`GET /api/opportunities/${mine.id}`)).json(), {
      stage: 'negotiation',
      probability: 75,
      status: 'open',
      version: 2
    })
    t.match(await moves(mine.id), [
      { from_stage: 'proposal', to_stage: 'negotiation' },
      { to_stage: 'proposal' }
    ])
    t.match((await call(`GET /api/opportunities/${mine.id}/history`)).json().data[0], {
      type: 'opportunity.updated',
      changed: ['moved_at', 'probability', 'stage']
    })
    t.same(
      (await stage('prospecting')).next_stages,
      ['negotiation', 'lost'],
      'who could move there can move to its heir'
    )
    t.match((await call(`POST /api/opportunities/${gone.id}/restore`)).json(), {
      status: 409,
      detail: /stage proposal is deleted/
    })
  })

  await t.test(
    'of 1,500 opportunities, a thousand move at once and the others by a job',
    async t => {
      await sql`insert into opportunities (organization_id, pipeline_id, stage, title)
        select ${organization_id}, ${sales}, 'qualification', 'Sale ' || n
        from generate_series(1, 1500) n`
      const { id } = await stage('qualification')
      t.equal((await call(`DELETE /api/stages/${id}?move_to=prospecting`)).statusCode, 204)
      const inStage = async () =>
        (
          await sql`select 1 from opportunities where organization_id = ${organization_id}
            and stage = 'qualification' and deleted_at is null`
        ).length
      const left = await inStage()
      t.ok(left >= 500 && left < 600, `${left} are left`)
      const [job] = await sql<
        {
          payload: {
            organization_id: number
            user_id: number
            pipeline_id: number
            from: string
            to: string
          }
        }[]
      >`
      select payload from graphile_worker._private_jobs
        where key = ${`move_opportunities/${organization_id}/${sales}/qualification`}`
      t.match(job!.payload, {
        organization_id,
        user_id: admin.user.id,
        pipeline_id: sales,
        from: 'qualification',
        to: 'prospecting'
      })
      const [one] = (await call('GET /api/opportunities?stage=qualification&limit=1')).json().data
      t.match(
        (
          await call(`PATCH /api/opportunities/${one.id}`, { probability: 33, lead_id: null })
        ).json(),
        { probability: 33 },
        'one that is left can be changed'
      )
      const heir = await stage('prospecting')
      t.match(
        (await call(`DELETE /api/stages/${heir.id}?move_to=negotiation`)).json(),
        { status: 409, detail: /still leaving/ },
        'and the heir does not go meanwhile'
      )
      await runPendingJobs(app.services, database_url, pino({ level: 'silent' }))
      t.equal(await inStage(), 0)
      t.equal(
        await stageService.clear(ctx, job!.payload),
        undefined,
        'and doing it once more does no harm'
      )
      t.same(
        (
          await sql`select count(*) from moves where organization_id = ${organization_id}
            and from_stage = 'qualification' and to_stage = 'prospecting'`
        )[0],
        { count: left + 1000 }
      )
    }
  )

  await t.test('no opportunity enters a stage that is being deleted', async t => {
    for (let round = 0; round < 5; round++) {
      const key = word()
      const { id } = (
        await call('POST /api/stages', { pipeline_id: sales, key, name: key, probability: 5 })
      ).json()
      const ids = await Promise.all(
        Array.from({ length: 10 }, async () => (await make({ stage: 'negotiation' })).id as number)
      )
      const answers = await Promise.all([
        ...ids.map(opportunity => call(`PATCH /api/opportunities/${opportunity}`, { stage: key })),
        call(`DELETE /api/stages/${id}?move_to=prospecting`),
        ...ids.map(() => call('POST /api/opportunities', { title: 'New', stage: key }))
      ])
      t.ok(
        answers.every(({ statusCode }) => [200, 201, 204, 422].includes(statusCode)),
        answers.map(({ statusCode }) => statusCode).join()
      )
      t.same((await call(`GET /api/opportunities?stage=${key}`)).json().data, [])
    }
    t.notOk((await stagesOf(sales)).some(({ key }) => key.startsWith('w') && key !== 'won'))
  })
})

t.test(
  'twenty concurrent transitions are logged once each, without a gap',
  async t => {
    const { call, sales, stage, make, moves } = await company()
    const { id } = await make()
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
      'nobody sees a deadlock or a timeout'
    )

    const chain = (await moves(id)).toReversed()
    const record = (await call(`GET /api/opportunities/${id}`)).json()
    t.equal(chain[0]!.from_stage, null)
    for (const [i, move] of chain.entries()) {
      if (i === 0) continue
      const before = chain[i - 1]!
      if (move.from_stage !== before.to_stage)
        t.fail(`move ${i} leaves ${move.from_stage}, and the one before came to ${before.to_stage}`)
      if (
        move.seconds !==
        Math.floor((Date.parse(move.moved_at) - Date.parse(before.moved_at)) / 1000)
      )
        t.fail(`move ${i} spent ${move.seconds} s`)
    }
    t.match(record, { stage: chain.at(-1)!.to_stage, moved_at: chain.at(-1)!.moved_at })
    const events = await sql<
      { changed: string[] }[]
    >`select changed from events where subject_type = 'opportunity' and subject_id = ${id}`
    t.equal(events.filter(({ changed }) => changed.includes('stage')).length, chain.length - 1)
    t.equal(record.version, events.length, 'and no change was lost')

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
      'of twenty with the same If-Match one wins'
    )
  }
)

t.test('virtual filters of opportunities', async t => {
  const { call, user, organization_id, sales, make } = await company()
  const stranger = await company()
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
  const early = (await make({ lead_id })).id
  const campaign_id = await add('campaigns', { name: 'Spring' })
  await sql`update opportunities set created_at = now() - interval '1 hour' where id = ${early}`
  await add('campaign-members', { campaign_id, contact_id })
  const byContact = (await make({ lead_id })).id
  await add('campaign-members', { campaign_id, lead_id: silent })
  const byLead = (await make({ lead_id: silent })).id
  const none = (await make()).id
  const orphan = (await make({ lead_id: gone })).id
  await call(`DELETE /api/leads/${gone}`)
  await call(`PATCH /api/opportunities/${none}`, { stage: 'proposal' })
  await call(`PATCH /api/opportunities/${none}`, { stage: 'won' })
  await stranger.make()

  t.same(await found('entered_stage=proposal'), [none], 'a stage it left')
  t.same(await found('entered_stage=prospecting'), [early, byContact, byLead, none, orphan])
  t.same(await found('entered_stage=won&status=won'), [none])
  t.same(await found('lead_source=fair'), [early, byContact])
  t.same(
    await found('lead_source[null]=true'),
    [byLead, none, orphan],
    'whose lead is deleted has none'
  )
  t.same(
    await found('lead_source[null]=false'),
    [early, byContact],
    'so each has one source or none'
  )
  t.same(
    await found(`campaign_id=${campaign_id}`),
    [byContact, byLead],
    'of those made after they became members'
  )
  t.same(await found(`contact_id=${contact_id}`), [early, byContact])
  t.same(await found('contact_id=999999'), [])
  const seller = await user('user')
  const own = (await make({ assigned_to: seller.user.id })).id
  const ofSeller = async (query: string) =>
    (await seller.call(`GET /api/opportunities?sort=id&${query}`))
      .json()
      .data.map(({ id }: { id: number }) => id)
  t.same([await ofSeller('mine=true'), await found('mine=true')], [[own], []])
  t.same(
    await ofSeller('mine=false'),
    [early, byContact, byLead, none, orphan],
    'those of nobody are not mine'
  )
  for (const query of [`campaign_id=${campaign_id}`, `contact_id=${contact_id}`])
    t.same((await stranger.call(`GET /api/opportunities?${query}`)).json().data, [], query)
  t.equal((await call('GET /api/opportunities?entered_stage=No%20key')).statusCode, 400)

  await t.test('on indexes', async t => {
    const campaign = await stranger.call('POST /api/campaigns', { name: 'Theirs' })
    const companies = [
      [organization_id, sales, campaign_id],
      [stranger.organization_id, stranger.sales, campaign.json().id]
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
    await sql`vacuum analyze`
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
    const { id } = await make()
    for (const request of [
      `GET /api/opportunities/${id}/moves`,
      `GET /api/stages?pipeline_id=${sales}&sort=position`
    ]) {
      for (const plan of await plansOf(app, () => call(request)))
        t.notMatch(plan, /Seq Scan on (moves|opportunities)/, request)
    }
  })
})

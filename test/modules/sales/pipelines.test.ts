import t from 'tap'
import { application, database, type Call } from '../../support/app.ts'
import { behavesLikeARecord } from '../../support/record.ts'
import { word, organizationWithPipelines } from './pipelines.ts'

const database_url = await database(t)
const app = await application(t, { database_url })

t.test('a pipeline', t =>
  behavesLikeARecord(t, app, '/api/pipelines', {
    valid: async (call: Call) => {
      // names are unique: another pipeline that has this name gives it up
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
  const { call, user, sales, partners, stagesOf, create } = await organizationWithPipelines(app)
  const other = await organizationWithPipelines(app)

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

  await t.test('invalid stages are refused with a pointer, and no pipeline is created', async t => {
    const open = { key: 'a', name: 'A', probability: 10 }
    const cases: [object[], string][] = [
      [[open, { ...open, name: 'B' }], '/stages/1/key'],
      [[open, { key: 'b', name: 'B' }], '/stages/1/probability'],
      [[open, { key: 'won', name: 'Won', kind: 'won', probability: 90 }], '/stages/1/probability'],
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
  })

  await t.test('there is one default pipeline, which can be replaced', async t => {
    const other = await organizationWithPipelines(app)
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
      'a stale If-Match does not change the default'
    )
    t.match(
      (await other.call(`PATCH /api/pipelines/${other.partners}`, { is_default: true })).json(),
      { is_default: true }
    )
    t.match((await other.call(`GET /api/pipelines/${other.sales}`)).json(), {
      is_default: false,
      version: 2
    })
    t.match(await other.create(), {
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
      'also after twenty concurrent changes'
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
    const { id } = await create({ pipeline_id: partners })
    t.match((await call(`DELETE /api/pipelines/${partners}`)).json(), {
      status: 409,
      detail: /has opportunities/
    })
    await call(`DELETE /api/opportunities/${id}`)
    t.equal((await call(`DELETE /api/pipelines/${partners}`)).statusCode, 204)
    t.match((await call('POST /api/opportunities', { title: 'T', pipeline_id: partners })).json(), {
      status: 422,
      errors: [{ pointer: '/pipeline_id' }]
    })
    t.match((await call(`POST /api/opportunities/${id}/restore`)).json(), {
      status: 409,
      detail: /pipeline was deleted/
    })
    const [stage] = (
      await call(`GET /api/stages?pipeline_id=${partners}&kind=open&limit=1&sort=-position`)
    ).json<{ data: { id: number }[] }>().data
    await call(`DELETE /api/stages/${stage!.id}`)
    t.match((await call(`POST /api/stages/${stage!.id}/restore`)).json(), {
      status: 409,
      detail: /pipeline was deleted/
    })
    await call(`POST /api/pipelines/${partners}/restore`)
    t.equal((await call(`POST /api/stages/${stage!.id}/restore`)).statusCode, 200)
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
    const { id } = await create()
    const theirs = (await stagesOf(sales))[0]!
    t.same((await other.call(`GET /api/stages?pipeline_id=${sales}`)).json().data, [])
    for (const request of [
      `GET /api/opportunities/${id}/moves`,
      `DELETE /api/stages/${theirs.id}?move_to=proposal`,
      `DELETE /api/pipelines/${sales}`
    ])
      t.equal((await other.call(request)).statusCode, 404, request)
    for (const body of [
      { title: 'T', pipeline_id: sales },
      { title: 'T', pipeline_id: 999_999 }
    ]) {
      t.match((await other.call('POST /api/opportunities', body)).json(), {
        status: 422,
        code: 'unknown_reference',
        errors: [{ pointer: '/pipeline_id' }]
      })
    }
    const own = await other.create()
    t.match(
      (await other.call(`PATCH /api/opportunities/${own.id}`, { pipeline_id: sales })).json(),
      { status: 422, errors: [{ pointer: '/pipeline_id' }] }
    )
    t.match(
      (
        await other.call('POST /api/stages', {
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

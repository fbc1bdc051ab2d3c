import { pino } from 'pino'
import t from 'tap'
import { stageService } from '../../../src/modules/sales/stages/service.ts'
import { runPendingJobs } from '../../../src/jobs/runner.ts'
import { application, database } from '../../support/app.ts'
import { type Stage, word, organizationWithPipelines } from './pipelines.ts'

const database_url = await database(t)
const app = await application(t, { database_url })
const sql = app.services.database.pool

t.test('stages', async t => {
  const { call, sales, stage, stagesOf, create } = await organizationWithPipelines(app)
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

  await t.test('positions stay within their maximum, and in order', async t => {
    const { id } = (await call('POST /api/pipelines', { name: 'Full' })).json()
    const order = async () => (await stagesOf(id)).map(({ key, position }) => [key, position])
    const before = (await stagesOf(id)).map(({ key }) => key)
    for (const [i, one] of (await stagesOf(id)).toReversed().entries())
      await call(`PATCH /api/stages/${one.id}`, { position: 1_000_000 - i })
    const closed = { pipeline_id: id, name: 'A', kind: 'lost' }
    t.equal((await call('POST /api/stages', { ...closed, key: 'last' })).statusCode, 201)
    t.same(
      await order(),
      [...before, 'last'].map((key, i) => [key, i + 1])
    )

    const [won, ...lost] = (await stagesOf(id)).filter(({ kind }) => kind !== 'open').toReversed()
    for (const one of [won!, ...lost])
      await call(`PATCH /api/stages/${one.id}`, { position: 1_000_000 })
    const open = (await stagesOf(id)).findLast(({ kind }) => kind === 'open')!
    await call(`PATCH /api/stages/${open.id}`, { position: 999_999 })
    const added = { pipeline_id: id, key: 'next', name: 'B', probability: 10 }
    t.equal((await call('POST /api/stages', added)).statusCode, 201)
    const after = await order()
    t.equal(
      after.findIndex(([key]) => key === 'next'),
      after.findIndex(([key]) => key === open.key) + 1
    )
    t.same(
      after.map(([, position]) => position),
      after.map((_, i) => i + 1)
    )
  })

  await t.test('a new stage is placed after the others of its kind', async t => {
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
      'a position in the request is kept'
    )
    t.same(await board(), ['a 1', 'won 2', 'd 2', 'b 3', 'c 4', 'gone 6', 'lost 9'])
    t.match(await add('e', { pipeline_id: id }), { position: 5 })
    t.same(
      await board(),
      ['a 1', 'won 2', 'd 2', 'b 3', 'c 4', 'e 5', 'gone 6', 'lost 9'],
      'existing positions are kept where there is room'
    )
    await add('f', { pipeline_id: id, position: 9 })
    await call(`PATCH /api/stages/${(await stage('gone', id)).id}`, { position: 10 })
    const before = await board()
    t.match(await add('a', { pipeline_id: id }), { status: 409 })
    t.match(await add('g', { pipeline_id: id, probability: undefined }), { status: 422 })
    t.same(await board(), before, 'a refused request moves nothing')
    await Promise.all(Array.from({ length: 20 }, (_, i) => add(`p${i}`, { pipeline_id: id })))
    const positions = (await stagesOf(id)).slice(before.length - 1).map(({ position }) => position)
    t.same(
      positions,
      Array.from({ length: 21 }, (_, i) => 10 + i),
      'twenty concurrent creations have distinct positions'
    )
    t.equal((await board()).at(-1), 'gone 30')
  })

  await t.test('the key of a stage cannot be reused or changed', async t => {
    const demo = await add('demo')
    t.match(demo, { position: 5, kind: 'open', required_fields: [], next_stages: null })
    t.match(await add('demo'), { status: 409, code: 'duplicate', errors: [{ pointer: '/key' }] })
    t.match((await call(`PATCH /api/stages/${demo.id}`, { key: 'other' })).json(), {
      status: 409,
      errors: [{ pointer: '/key' }]
    })
    await call(`DELETE /api/stages/${demo.id}`)
    t.match(
      await add('demo'),
      { status: 409, errors: [{ pointer: '/key' }] },
      'also after its deletion'
    )
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
    await create({ stage: 'negotiation' })
    const { id } = await stage('negotiation')
    t.match((await call(`PATCH /api/stages/${id}`, { kind: 'won' })).json(), {
      status: 409,
      detail: /has opportunities/
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

t.test('deleting a stage', async t => {
  const { call, admin, organization_id, sales, stage, create, moves, stagesOf, ctx } =
    await organizationWithPipelines(app)

  await t.test('an unused stage is deleted, and cannot be entered any more', async t => {
    const { id } = await stage('qualification')
    t.equal(
      (await call(`DELETE /api/stages/${id}`, undefined, { 'if-match': '"1"' })).statusCode,
      204
    )
    t.match(await create({ stage: 'qualification' }), {
      status: 422,
      errors: [{ pointer: '/stage' }]
    })
    t.equal((await call(`POST /api/stages/${id}/restore`)).statusCode, 200)
    t.match(await create({ stage: 'qualification' }), { stage: 'qualification' })
  })

  await t.test('a stage in use requires a target for its opportunities', async t => {
    const mine = await create({ stage: 'proposal', probability: 60 })
    const gone = await create({ stage: 'proposal' })
    await call(`DELETE /api/opportunities/${gone.id}`)
    const { id } = await stage('proposal')
    t.match((await call(`DELETE /api/stages/${id}`)).json(), {
      status: 409,
      code: 'conflict',
      detail: /has opportunities.*move_to/
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
      'refused requests have changed nothing'
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
      'next_stages that named it name its target'
    )
    t.match((await call(`POST /api/opportunities/${gone.id}/restore`)).json(), {
      status: 409,
      detail: /stage proposal was deleted/
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
      t.ok(left >= 500 && left < 600, `${left} remain`)
      const [job] = await sql<
        {
          payload: {
            user_id: number
            pipeline_id: number
            from: string
            to: string
          }
        }[]
      >`
      select payload from jobs where organization_id = ${organization_id}
        and key = ${`move_opportunities/${sales}/qualification`}`
      t.match(job!.payload, {
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
        'a remaining one can be updated'
      )
      const heir = await stage('prospecting')
      t.match(
        (await call(`DELETE /api/stages/${heir.id}?move_to=negotiation`)).json(),
        { status: 409, detail: /still leaving/ },
        'the target cannot be deleted meanwhile'
      )
      await runPendingJobs(app.services, database_url, pino({ level: 'silent' }))
      t.equal(await inStage(), 0)
      t.same(
        await stageService.clear(ctx, job!.payload),
        { done: 0 },
        'running the job again changes nothing'
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
        Array.from(
          { length: 10 },
          async () => (await create({ stage: 'negotiation' })).id as number
        )
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

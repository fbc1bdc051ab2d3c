// Tags on every record of sales, and the filters on them.
import t from 'tap'
import { application, organization } from '../../support/app.ts'
import { behavesLikeARecord } from '../../support/record.ts'

const app = await application(t)
let names = 0

t.test('a tag', t =>
  behavesLikeARecord(t, app, '/api/tags', {
    valid: () => ({ name: `Tag ${++names}`, color: '#49cc90' }),
    change: { color: '#e5484d' },
    turns: ['#111111', '#222222'],
    invalid: [
      [{ name: '' }, '/name'],
      [{ name: null }, '/name'],
      [{ name: 'x'.repeat(51) }, '/name'],
      [{ color: 'red' }, '/color'],
      [{ color: '#49CC90' }, '/color']
    ]
  })
)

t.test('a name is unique regardless of case until its tag is deleted', async t => {
  const { call } = await organization(app)
  const { id } = (await call('POST /api/tags', { name: 'VIP' })).json()
  t.match((await call('POST /api/tags', { name: 'vip' })).json(), {
    status: 409,
    code: 'duplicate',
    errors: [{ pointer: '/name' }]
  })
  t.equal(
    (await (await organization(app)).call('POST /api/tags', { name: 'vip' })).statusCode,
    201,
    'another organization has its own'
  )
  await call(`DELETE /api/tags/${id}`)
  t.equal((await call('POST /api/tags', { name: 'vip' })).statusCode, 201)
})

for (const [resource, record] of Object.entries({
  contacts: { first_name: 'A', last_name: 'B' },
  accounts: { name: 'A' },
  leads: {},
  opportunities: { title: 'A' },
  activities: { type: 'call', subject: 'A' },
  campaigns: { name: 'A' }
})) {
  t.test(`${resource} have tags`, async t => {
    const { call } = await organization(app)
    const other = await organization(app)
    const path = `/api/${resource}`
    const [hot, vip, gone, theirs] = (await Promise.all([
      ...['hot', 'vip', 'gone'].map(
        async name => (await call('POST /api/tags', { name })).json().id as number
      ),
      (async () => (await other.call('POST /api/tags', { name: 'theirs' })).json().id as number)()
    ])) as [number, number, number, number]
    const create = async (tags: number[]) =>
      (await call(`POST ${path}`, { ...record, tags })).json().id as number
    const [none, one, both] = [await create([]), await create([hot]), await create([hot, vip])]
    const found = async (query: string) =>
      ((await call(`GET ${path}?sort=id&${query}`)).json().data as { id: number }[]).map(
        ({ id }) => id
      )

    t.same(await found(`tags[any]=${hot},${vip}`), [one, both])
    t.same(await found(`tags[all]=${hot},${vip}`), [both])
    t.same(await found(`tags[any]=${vip}`), [both])
    t.same(await found(`tags[any]=${theirs}`), [])
    t.equal((await call(`GET ${path}?tags[any]=${hot}&count=exact&limit=1`)).json().total, 2)
    t.match((await call(`GET ${path}?tags[all]=x`)).json(), {
      status: 400,
      errors: [{ parameter: 'tags[all]' }]
    })
    t.match((await call(`GET ${path}/${both}?include=tags`)).json().included.tags, [
      { id: hot, name: 'hot' },
      { id: vip, name: 'vip' }
    ])

    const { version } = (await call(`PATCH ${path}/${none}`, { tags: [vip] })).json()
    t.equal(version, 2)
    t.equal(
      (await call(`PATCH ${path}/${none}`, { tags: [vip] })).json().version,
      2,
      'the same tags change nothing'
    )
    t.match((await call(`GET ${path}/${none}/history`)).json().data[0], {
      changed: ['tags'],
      before: { tags: [] },
      after: { tags: [vip] }
    })
    t.equal((await call(`PATCH ${path}/${none}`, { tags: null })).statusCode, 400)
    t.match((await call(`PATCH ${path}/${none}`, { tags: [hot, hot] })).json(), {
      status: 400,
      errors: [{ pointer: '/tags' }]
    })

    await call(`DELETE /api/tags/${gone}`)
    for (const unknown of [theirs, gone, 999_999]) {
      for (const answer of [
        await call(`POST ${path}`, { ...record, tags: [hot, unknown] }),
        await call(`PATCH ${path}/${one}`, { tags: [hot, unknown] })
      ]) {
        t.match(answer.json(), {
          status: 422,
          code: 'unknown_reference',
          errors: [{ pointer: '/tags' }]
        })
      }
    }
    await call(`DELETE /api/tags/${vip}`)
    t.equal(
      (await call(`PATCH ${path}/${both}`, { tags: [vip, hot] })).statusCode,
      200,
      'a record can be saved although a tag is deleted'
    )
    t.match((await call(`GET ${path}/${both}?include=tags`)).json().included.tags, [{ id: hot }])
  })
}

t.test('the database refuses a tag of another organization', async t => {
  const [ours, theirs] = [await organization(app), await organization(app)]
  const tag = (await theirs.call('POST /api/tags', { name: 'A' })).json().id as number
  const { id } = (await ours.call('POST /api/leads', {})).json()
  await t.rejects(app.services.database.pool`update leads set tags = ${[tag]} where id = ${id}`, {
    code: '23503'
  })
})

import { test } from 'tap'
import { application, bearer, caller, organization, type Call } from '../../../support/app.ts'
import { hiding, protecting, userWith } from '../../../support/field-rights.ts'

interface Result {
  index: number
  status: number
  id: number
  version?: number
  outcome?: string
  record?: object
  problem?: { code: string }
}

const person = { first_name: 'Eva', last_name: 'Ek' }
const create = (data: object = person) => ({ op: 'create', type: 'contact', data })

const run = async (call: Call, mode: string, operations: object[], headers = {}) =>
  await call('POST /api/batch', { mode, operations }, headers)
const resultsOf = (answer: Awaited<ReturnType<typeof run>>): Result[] => answer.json().results

const app = application
const total = async (call: Call, path: string): Promise<number> =>
  (await call(`GET /api/${path}?count=exact&limit=1`)).json().total

test('operations refer to the records of earlier ones', async t => {
  const { call } = await organization(await app(t))
  const answer = await run(call, 'atomic', [
    {
      ref: 'acme',
      op: 'upsert',
      type: 'account',
      match: { external: { erp: 'A-42' } },
      data: { name: 'Acme' }
    },
    { ref: 'eva', ...create({ ...person, account_id: { $ref: 'acme' } }) },
    create(),
    { ref: 'lead', op: 'create', type: 'lead', data: { contact_id: { $ref: 'eva' } } },
    { op: 'qualify', type: 'lead', id: { $ref: 'lead' } },
    { op: 'convert', type: 'lead', id: { $ref: 'lead' }, data: {} },
    { op: 'update', type: 'account', id: { $ref: 'acme' }, data: { city: 'Rome' } },
    { op: 'update', type: 'account', id: { $ref: 'acme' }, data: { city: 'Rome' } },
    { op: 'delete', type: 'contact', id: { $ref: 'eva' } },
    { op: 'restore', type: 'contact', id: { $ref: 'eva' } },
    { op: 'restore', type: 'contact', id: { $ref: 'eva' } }
  ])
  t.equal(answer.statusCode, 200, answer.body)
  const results = resultsOf(answer)
  t.same(
    results.map(({ status, outcome }) => [status, outcome]),
    [
      [201, 'created'],
      [201, 'created'],
      [201, 'created'],
      [201, 'created'],
      [200, 'updated'],
      [200, 'updated'],
      [200, 'updated'],
      [200, 'unchanged'],
      [204, 'deleted'],
      [200, 'restored'],
      [200, 'unchanged']
    ]
  )
  const [acme, eva] = results as [Result, Result]
  const contact = (await call(`GET /api/contacts/${eva.id}`)).json()
  t.equal(contact.account_id, acme.id)
})

test('an atomic batch that fails does nothing, and lists everything that is wrong', async t => {
  const { call } = await organization(await app(t))
  const { id } = (await call('POST /api/contacts', person)).json()
  const answer = await run(call, 'atomic', [
    create({ last_name: 'Ek', email: 'nobody' }),
    create({ ...person, account_id: 99 }),
    { ref: 'x', ...create() },
    { op: 'update', type: 'contact', id: { $ref: 'x' }, if_match: 9, data: { last_name: 'L' } },
    { op: 'update', type: 'contact', id, data: { last_name: 'Lind' } },
    { op: 'delete', type: 'lead', id: 99 }
  ])
  t.equal(answer.statusCode, 422)
  t.equal(answer.json().code, 'batch_rejected')
  t.same(
    answer.json().errors.map(({ pointer }: { pointer: string }) => pointer),
    [
      '/operations/0/data/first_name',
      '/operations/0/data/email',
      '/operations/1/data/account_id',
      '/operations/3',
      '/operations/5'
    ]
  )
  t.same(
    resultsOf(answer).map(({ status }) => status),
    [400, 422, 424, 412, 424, 404]
  )
  t.equal(await total(call, 'contacts'), 1)
  t.equal((await call(`GET /api/contacts/${id}`)).json().version, 1)
  t.equal(await total(call, 'operations'), 0)
})

test('an independent batch does what it can; what depends on a failure is a 424', async t => {
  const { call } = await organization(await app(t))
  const answer = await run(call, 'independent', [
    create(),
    { ref: 'bad', op: 'create', type: 'account', data: {} },
    create({ ...person, account_id: { $ref: 'bad' } }),
    { op: 'create', type: 'opportunity', data: { title: 'Deal', stage: 'nowhere' } },
    create()
  ])
  t.equal(answer.statusCode, 207)
  t.same(
    resultsOf(answer).map(({ status }) => status),
    [201, 400, 424, 422, 201]
  )
  t.equal(await total(call, 'contacts'), 2)
})

test('operations that there are not, and references to later ones, are a 400', async t => {
  const { call } = await organization(await app(t))
  const wrong: [string, object][] = [
    ['/operations/0/type', { op: 'create', type: 'user', data: {} }],
    ['/operations/0/type', { op: 'create', type: 'nothing', data: {} }],
    ['/operations/0/op', { op: 'complete', type: 'lead', id: 1 }],
    ['/operations/0/op', { op: 'constructor', type: 'lead', id: 1 }],
    ['/operations/0/id', { op: 'update', type: 'lead', data: {} }],
    ['/operations/0/id', { op: 'create', type: 'lead', id: 1, data: {} }],
    ['/operations/0/id', { op: 'delete', type: 'lead', id: { lead: 'b' } }],
    ['/operations/0/data', { op: 'delete', type: 'lead', id: 1, data: {} }],
    ['/operations/0/if_match', { op: 'restore', type: 'lead', id: 1, if_match: 1 }],
    ['/operations/0/on_match', { ...create(), on_match: 'keep' }],
    [
      '/operations/0/data/contact_id',
      { op: 'create', type: 'lead', data: { contact_id: { $ref: 'b' } } }
    ]
  ]
  for (const [pointer, operation] of wrong) {
    const answer = await run(call, 'independent', [operation, { ref: 'b', ...create() }])
    t.equal(answer.statusCode, 400, JSON.stringify(operation))
    t.same(
      answer.json().errors.map((error: { pointer: string }) => error.pointer),
      [pointer]
    )
  }
  const many = Array.from({ length: 1001 }, () => create())
  t.equal((await run(call, 'atomic', many)).statusCode, 400)
  t.equal(await total(call, 'contacts'), 0)
})

test('a reference only stands for the ID of a record of the type that belongs there', async t => {
  const { call } = await organization(await app(t))
  const acme = { ref: 'acme', op: 'create', type: 'account', data: { name: 'Acme' } }
  const $ref = { $ref: 'acme' }
  for (const [pointer, operation] of [
    ['/operations/1/id', { op: 'update', type: 'contact', id: $ref, data: { position: 'CEO' } }],
    ['/operations/1/data/contact_id', { op: 'create', type: 'lead', data: { contact_id: $ref } }],
    ['/operations/1/data/tags/1', create({ ...person, tags: [1, $ref] })]
  ] as const) {
    const answer = await run(call, 'independent', [acme, operation])
    t.match([answer.statusCode, answer.json().errors], [400, [{ pointer }]])
  }
  t.equal(await total(call, 'accounts'), 0)
})

test('a batch has the rights of single requests', async t => {
  const one = await organization(await app(t))
  const { id } = (await one.call('POST /api/contacts', { ...person, company: 'Acme' })).json()
  const { call: blind } = await userWith(one, [hiding('contacts', 'company')])
  const { call: bound } = await userWith(one, [protecting('contacts', 'company')])
  const viewer = await one.user('viewer')
  const partner = await one.user('partner')
  const neighbor = await organization(await app(t))
  const rename = { op: 'update', type: 'contact', id, data: { company: 'Other' } }
  const tried: [number, Call][] = [
    [400, blind],
    [403, bound],
    [403, viewer.call],
    [404, partner.call],
    [404, neighbor.call]
  ]
  for (const [status, call] of tried)
    t.equal(resultsOf(await run(call, 'independent', [rename, create()]))[0]!.status, status)
  const shown = await run(blind, 'atomic', [create(), create()], {
    prefer: 'return=representation'
  })
  for (const { record } of resultsOf(shown)) t.notOk('company' in record!)
  const whole = await run(one.call, 'atomic', [create()], { prefer: 'return=representation' })
  const [{ record, id: created }] = resultsOf(whole) as [Result]
  t.same(record, (await one.call(`GET /api/contacts/${created}`)).json())
})

test('a batch is repeated by its key, tried, planned, and undone as one', async t => {
  const one = await organization(await app(t))
  const { call } = one
  const batch = [create(), create(), { op: 'create', type: 'lead', data: {} }]
  const dry = await run(call, 'atomic', batch, { prefer: 'dry-run' })
  t.equal(dry.json().effects.length, 3)
  t.equal(await total(call, 'contacts'), 0)
  const headers = { 'idempotency-key': 'batch', 'if-plan': String(dry.headers.plan) }
  const done = await run(call, 'atomic', batch, headers)
  t.equal(done.statusCode, 200, done.body)
  const { operation_id } = done.json()
  t.equal((await run(call, 'atomic', batch, headers)).body, done.body)
  t.equal(await total(call, 'contacts'), 2)
  const operation = await call(`GET /api/operations/${operation_id}`)
  t.match(operation.json(), { kind: 'batch', counts: { created: 3 } })
  t.equal((await call(`POST /api/operations/${operation_id}/undo`)).statusCode, 201)
  t.equal(await total(call, 'contacts'), 0)
  t.equal(await total(call, 'leads'), 0)
  t.equal((await run(call, 'atomic', [create()])).json().operation_id, null)
})

test('a token that requires plans, or may not risk it, deletes nothing by a batch', async t => {
  const server = await app(t)
  const { call } = await organization(server)
  const { id } = (await call('POST /api/contacts', person)).json()
  for (const [risk, require_plan, status] of [
    ['destructive', true, 428],
    ['write', false, 207]
  ] as const) {
    const token = { name: risk, scopes: ['*'], risk, require_plan }
    const issued = (await call('POST /api/api-tokens', token)).json()
    const remove = { op: 'delete', type: 'contact', id }
    const answer = await run(caller(server, bearer(issued.token)), 'independent', [
      remove,
      create()
    ])
    t.equal(answer.statusCode, status, risk)
    if (status === 207) t.equal(resultsOf(answer)[0]!.status, 403)
  }
  t.equal((await call(`GET /api/contacts/${id}`)).statusCode, 200)
})

test('an upsert is matched by what tells records apart, and its value is validated', async t => {
  const { call } = await organization(await app(t))
  const upsert = (type: string, match: object, data: object = person) => [
    { op: 'upsert', type, match, data }
  ]
  for (const operations of [
    upsert('campaign_member', { external: { erp: 'A' } }, {}),
    upsert('contact', { first_name: 'Eva' }),
    upsert('contact', { nonsense: 'x' }),
    upsert('contact', { external: { erp: 'A', shop: 'B' } }),
    upsert('contact', { external: 'A' })
  ]) {
    const answer = await run(call, 'independent', operations)
    t.equal(answer.statusCode, 400, answer.body)
    t.match(answer.json().errors[0].pointer, /^\/operations\/0\/(match|op)$/)
  }
  const other = { ...person, email: 'b@example.com', external_ids: { erp: 'B' } }
  for (const [match, pointer, data] of [
    [{ email: 'nobody' }, '/email', person],
    [{ email: 3 }, '/email', person],
    [{ email: 'a@example.com' }, '/email', other],
    [{ external: { ERP: 'A' } }, '/external_ids', person],
    [{ external: { erp: 'x'.repeat(256) } }, '/external_ids/erp', person],
    [{ external: { erp: 'A' } }, '/external_ids/erp', other]
  ] as const) {
    const answer = await run(call, 'independent', upsert('contact', match, data))
    t.equal(answer.statusCode, 207, answer.body)
    t.match(resultsOf(answer)[0], { status: 400, problem: { errors: [{ pointer }] } })
  }
  t.equal(await total(call, 'contacts'), 0)
})

test('a conversion by a batch is undone with it, and not alone', async t => {
  const { call } = await organization(await app(t))
  const account = (await call('POST /api/accounts', { name: 'Acme' })).json()
  const answer = await run(call, 'atomic', [
    create(),
    { ref: 'lead', op: 'create', type: 'lead', data: {} },
    { op: 'convert', type: 'lead', id: { $ref: 'lead' }, data: {} },
    { op: 'update', type: 'account', id: account.id, data: { name: 'Other' } }
  ])
  const [contact, lead] = resultsOf(answer) as [Result, Result]
  t.equal((await call(`DELETE /api/leads/${lead.id}/conversion`)).statusCode, 409)
  const one = (await call('POST /api/leads', {})).json()
  await run(call, 'atomic', [{ op: 'convert', type: 'lead', id: one.id, data: {} }])
  t.equal((await call(`DELETE /api/leads/${one.id}/conversion`)).statusCode, 200)
  t.equal((await call(`GET /api/contacts/${contact.id}`)).statusCode, 200)
  t.match((await call(`GET /api/accounts/${account.id}`)).json(), { name: 'Other' })
})

test('what all operations of a batch refer to in vain is told of each', async t => {
  const { call } = await organization(await app(t))
  const { id } = (await call('POST /api/contacts', person)).json()
  const many = 40
  const fill = (make: (i: number) => object) => Array.from({ length: many }, (_, i) => make(i))
  const rename = { last_name: 'Lind' }
  for (const [operations, failed] of [
    [fill(i => ({ op: 'update', type: 'contact', id: id + 1000 + i, data: rename })), many],
    [fill(i => create({ ...person, account_id: i % 2 ? 99 : null })), many / 2],
    [fill(() => create({ ...person, external_ids: { erp: 'one' } })), many - 1],
    [fill(i => create(i % 2 ? person : { email: 'nobody' })), many / 2],
    [fill(i => ({ op: 'delete', type: 'contact', id: i === 7 ? id : id + 2000 + i })), many - 1]
  ] as const) {
    const results = resultsOf(await run(call, 'independent', operations))
    t.same(
      results.map(({ index }) => index),
      Array.from({ length: many }, (_, i) => i)
    )
    t.equal(results.filter(({ problem }) => problem).length, failed)
  }
})

test('bodies with more than any body can have are refused before they are read', async t => {
  const { call } = await organization(await app(t))
  const wide = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`x${i}`, 1]))
  for (const body of [
    { mode: 'atomic', operations: [create(wide(50_000))] },
    { mode: 'atomic', operations: [wide(50_000)] },
    { mode: 'atomic', operations: Array.from({ length: 1000 }, () => create(wide(150))) }
  ]) {
    const answer = await call('POST /api/batch', body)
    t.equal(answer.statusCode, 400)
    t.ok(answer.body.length < 2000, answer.body)
  }
  const some = await run(call, 'independent', [create(wide(150))])
  t.equal(resultsOf(some)[0]!.status, 400)
  t.ok(some.body.length < 20_000)
})

// Changes of all records that match a filter: which records, whose rights, and what is left of it.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import {
  application,
  bearer,
  caller,
  organization,
  ownerOf,
  work,
  type Call
} from '../../support/app.ts'
import { everything, hiding, protecting, userWith } from '../../support/field-rights.ts'

const app = await application(t)
const owner = ownerOf(app)

const add = async ({ id }: { id: number }, count: number, company = 'Acme'): Promise<void> => {
  await owner`insert into contacts (organization_id, first_name, last_name, company)
    select ${id}, 'Many', 'N' || i, ${company} from generate_series(1, ${count}) i`
}
const total = async (call: Call, query: string): Promise<number> =>
  (await call(`GET /api/${query}&count=exact&limit=1`)).json().total
const mass = async (call: Call, op: string, body: object, headers = {}) =>
  await call(`POST /api/contacts/mass-${op}`, { filter: 'company=Acme', ...body }, headers)
const buyer = { data: { position: 'Buyer' } }

t.test('records that match are updated, tagged and deleted, and no others', async t => {
  const one = await organization(app)
  const { call } = one
  const tag = (await call('POST /api/tags', { name: 'Key' })).json()
  const other = (await call('POST /api/tags', { name: 'Other' })).json()
  await add(one, 3)
  await add(one, 2, 'Other')
  const done = { matched: 3, changed: 3, unchanged: 0, failed: 0, failures: [], job_id: null }
  const updated = await mass(call, 'update', { ...buyer, expected_count: 3 })
  t.match([updated.statusCode, updated.json()], [200, done])
  t.match((await mass(call, 'update', buyer)).json(), { changed: 0, unchanged: 3 })
  t.equal(await total(call, 'contacts?position=Buyer'), 3)
  t.match((await mass(call, 'tag', { add: [tag.id, other.id] })).json(), done)
  t.match((await mass(call, 'tag', { remove: [tag.id] })).json(), done)
  t.match((await mass(call, 'tag', { add: [other.id] })).json(), { changed: 0, unchanged: 3 })
  const noTags = { status: 422, errors: [{ pointer: '/add' }, { pointer: '/remove' }] }
  t.match((await mass(call, 'tag', { add: [] })).json(), noTags)
  const tagged = (await call('GET /api/contacts')).json<{ data: { tags: number[] }[] }>()
  t.same(
    tagged.data.map(({ tags }) => tags),
    [[], [], [other.id], [other.id], [other.id]]
  )
  t.match((await mass(call, 'delete', {})).json(), done)
  t.equal(await total(call, 'contacts?'), 2)
  const nothing = (await mass(call, 'delete', {})).json()
  t.match(nothing, { matched: 0, changed: 0, operation_id: null })
})

t.test('rules hold for each record, and what follows from changes follows', async t => {
  const { call } = await organization(app)
  for (const start_date of ['2027-05-01', '2027-03-01'])
    await call('POST /api/campaigns', { name: 'Fair', start_date })
  const end = { filter: 'type=email', data: { end_date: '2027-04-01' } }
  t.match((await call('POST /api/campaigns/mass-update', end)).json(), {
    matched: 2,
    changed: 1,
    failed: 1,
    failures: [{ status: 422, code: 'rule_broken' }]
  })
  const { id } = (await call('POST /api/opportunities', { title: 'Sale', amount: 5 })).json()
  const move = { filter: 'amount=5', data: { stage: 'proposal' } }
  t.match((await call('POST /api/opportunities/mass-update', move)).json(), { changed: 1 })
  const { data } = (await call(`GET /api/opportunities/${id}/moves`)).json()
  t.match(data[0], { from_stage: 'prospecting', to_stage: 'proposal' })
})

t.test('blank text clears a field, as in a single change', async t => {
  const one = await organization(app)
  await add(one, 1)
  const blank = { data: { company: ' ', email: '' } }
  t.match((await mass(one.call, 'update', blank)).json(), { changed: 1 })
  t.match((await one.call('GET /api/contacts')).json(), { data: [{ company: null, email: null }] })
})

t.test('a record that has the most tags already says so', async t => {
  const { call } = await organization(app)
  const operations = Array.from({ length: 51 }, (_, i) => {
    return { op: 'create', type: 'tag', data: { name: `tag ${i}` } }
  })
  const created = await call('POST /api/batch', { mode: 'atomic', operations })
  const ids = created.json<{ results: { id: number }[] }>().results.map(({ id }) => id)
  await call('POST /api/contacts', { first_name: 'Eva', last_name: 'Ek', tags: ids.slice(1) })
  t.match((await mass(call, 'tag', { filter: 'id[gte]=1', add: ids.slice(0, 1) })).json(), {
    failed: 1,
    failures: [{ status: 422, code: 'rule_broken', detail: /at most 50 tags/ }]
  })
})

t.test('another count than the expected one changes nothing', async t => {
  const one = await organization(app)
  await add(one, 2)
  for (const op of ['update', 'delete', 'tag']) {
    const change = { update: buyer, delete: {}, tag: { add: [1] } }[op]
    const body = { expected_count: 3, ...change }
    const answer = await mass(one.call, op, body)
    t.match(answer.json(), { status: 409, code: 'unexpected_count', count: 2 })
  }
  t.equal(await total(one.call, 'contacts?'), 2)
  t.equal(await total(one.call, 'operations?'), 0)
})

t.test('a filter must be one of the list, and is never empty', async t => {
  const { call } = await organization(app)
  for (const [filter, status] of [
    ['', 400],
    ['nonsense=1', 422],
    ['company=a&company=b', 422],
    ['&', 422],
    ['?', 422],
    ['id[gt]=x', 422]
  ] as const)
    t.equal((await mass(call, 'delete', { filter })).statusCode, status, filter)
  const keyed = (await mass(call, 'delete', { filter: 'external[erp]=1' })).json()
  t.match(keyed, { code: 'rule_broken', detail: /^external\[erp\] is unknown; known: / })
  t.notMatch(keyed.detail, /known: .*external/)
  t.equal((await mass(call, 'update', { data: {} })).statusCode, 400)
  t.equal((await mass(call, 'update', { data: { email: 'x' } })).statusCode, 400)
  t.equal((await mass(call, 'update', {})).statusCode, 400)
})

t.test('a mass change has the rights of single changes', async t => {
  const one = await organization(app)
  await add(one, 2)
  const neighbor = await organization(app)
  const viewer = await one.user('viewer')
  const partner = await one.user('partner')
  const blind = await userWith(one, [hiding('contacts', 'company')])
  const bound = await userWith(one, [protecting('contacts', 'position')])
  const timid = await userWith(one, [
    { resource: 'contacts', actions: ['read', 'update'], reach: 'all' }
  ])
  t.equal((await mass(neighbor.call, 'update', buyer)).json().matched, 0)
  t.equal((await mass(partner.call, 'update', buyer)).json().matched, 0)
  t.equal((await mass(viewer.call, 'update', buyer)).statusCode, 403)
  t.equal((await mass(timid.call, 'delete', {})).statusCode, 403)
  t.equal((await mass(blind.call, 'update', buyer)).statusCode, 422)
  const company = { filter: 'id[gte]=1', data: { company: 'X' } }
  t.match((await mass(blind.call, 'update', company)).json(), {
    status: 400,
    errors: [{ pointer: '/data/company' }]
  })
  t.match((await mass(bound.call, 'update', buyer)).json(), {
    status: 403,
    errors: [{ pointer: '/data/position' }]
  })
  const own = await userWith(one, [
    { resource: 'contacts', actions: ['read'], reach: 'all' },
    { resource: 'contacts', actions: everything, reach: 'own' }
  ])
  await own.call('POST /api/contacts', { first_name: 'A', last_name: 'B', company: 'Acme' })
  t.match((await mass(own.call, 'update', buyer)).json(), {
    matched: 3,
    changed: 1,
    failed: 2,
    failures: [{ status: 403 }, { status: 403 }]
  })
  t.equal(await total(one.call, 'contacts?position=Buyer'), 1)
})

t.test('it is tried, planned, repeated by its key, and undone as one', async t => {
  const one = await organization(app)
  const { call } = one
  await add(one, 2)
  const dry = await mass(call, 'delete', {}, { prefer: 'dry-run' })
  t.match(dry.json(), { matched: 2, effects: [{ op: 'deleted' }, { op: 'deleted' }] })
  t.equal(await total(call, 'contacts?'), 2)
  await add(one, 1)
  const plan = { 'if-plan': String(dry.headers.plan) }
  t.equal((await mass(call, 'delete', {}, plan)).statusCode, 412)
  const key = { 'idempotency-key': 'once' }
  const done = await mass(call, 'delete', {}, key)
  t.equal((await mass(call, 'delete', {}, key)).body, done.body)
  const { operation_id } = done.json()
  t.match((await call(`GET /api/operations/${operation_id}`)).json(), {
    kind: 'mass_delete',
    counts: { deleted: 3 }
  })
  t.equal((await call(`POST /api/operations/${operation_id}/undo`)).statusCode, 201)
  t.equal(await total(call, 'contacts?'), 3)
})

t.test('a plan of a slow change is of what is changed with it', async t => {
  const one = await organization(app)
  await add(one, 600, 'Slow')
  await owner.unsafe(`
    create function slow() returns trigger language plpgsql as
      'begin perform pg_sleep(0.005); return new; end';
    create trigger slow before update on contacts for each row when (new.company = 'Slow')
      execute function slow()`)
  t.teardown(async () => await owner`drop function slow cascade`)
  const slow = { filter: 'company=Slow', ...buyer }
  const dry = await mass(one.call, 'update', slow, { prefer: 'dry-run' })
  t.match(dry.json(), { matched: 600, changed: 600, job_id: null })
  const plan = { 'if-plan': String(dry.headers.plan) }
  t.match((await mass(one.call, 'update', slow, plan)).json(), { changed: 600, job_id: null })
  t.match((await mass(one.call, 'update', { ...slow, data: { position: 'Seller' } })).json(), {
    changed: 500,
    job_id: Number
  })
})

t.test('more than a thousand are changed by a job, in one operation', async t => {
  const one = await organization(app)
  const { call } = one
  await add(one, 2300)
  const answer = await mass(call, 'update', { ...buyer, expected_count: 2300 })
  const { job_id, operation_id } = answer.json()
  t.match([answer.statusCode, answer.json()], [202, { matched: 2300, failed: 0 }])
  t.equal(answer.headers.location, `/api/jobs/${job_id}`)
  await add(one, 1) // later than the change
  const undo = `POST /api/operations/${operation_id}/undo`
  t.match((await call(undo)).json(), { status: 409, detail: new RegExp(`job ${job_id} `) })
  await work(app)
  t.match((await call(`GET /api/jobs/${job_id}`)).json(), {
    kind: 'mass_update',
    state: 'completed',
    progress: { done: 2300, total: 2300 },
    result: { changed: 2300, unchanged: 0, failed: 0 },
    operation_id
  })
  t.equal(await total(call, 'contacts?position=Buyer'), 2300)
  t.match((await call(`GET /api/operations/${operation_id}`)).json(), {
    counts: { updated: 2300 }
  })
  t.equal((await call(undo)).statusCode, 201)
  t.equal(await total(call, 'contacts?position=Buyer'), 0)
})

t.test('a job stops when its author loses the permission', async t => {
  const one = await organization(app)
  const { call } = one
  await add(one, 1200)
  const author = await userWith(one, [{ resource: 'contacts', actions: everything, reach: 'all' }])
  const { job_id, changed } = (await mass(author.call, 'update', buyer)).json()
  const roles = (await call('GET /api/roles?name=viewer')).json<{ data: { id: number }[] }>()
  const role_ids = roles.data.map(({ id }) => id)
  t.equal((await call(`PATCH /api/users/${author.user.id}`, { role_ids })).statusCode, 200)
  await work(app)
  t.match((await call(`GET /api/jobs/${job_id}`)).json(), {
    state: 'failed',
    error: { code: 'forbidden' },
    result: { changed }
  })
  t.equal(await total(call, 'contacts?position=Buyer'), changed)
})

t.test('a job stops in the batch after which its author is disabled', async t => {
  const one = await organization(app)
  const author = await userWith(one, [{ resource: 'contacts', actions: everything, reach: 'all' }])
  await add(one, 1600, 'Acme')
  const { job_id, changed } = (await mass(author.call, 'update', buyer)).json()
  await owner.unsafe(`
    create function disable() returns trigger language plpgsql security definer as
      'begin update users set status = ''disabled'' where id = ${author.user.id}; return null; end';
    create trigger disable after update on contacts for each statement execute function disable()`)
  t.teardown(async () => await owner`drop function disable cascade`)
  await work(app)
  t.match((await one.call(`GET /api/jobs/${job_id}`)).json(), {
    state: 'failed',
    progress: { done: changed + 250 },
    error: { code: 'forbidden' }
  })
})

t.test('tokens that may not risk it, or require plans, change no more than they may', async t => {
  const one = await organization(app)
  await add(one, 101)
  for (const [risk, require_plan, op, status] of [
    ['write', false, 'update', 403],
    ['write', false, 'delete', 403],
    ['destructive', true, 'update', 428],
    ['destructive', true, 'delete', 428]
  ] as const) {
    const token = { name: `${risk} ${op}`, scopes: ['*'], risk, require_plan }
    const issued = (await one.call('POST /api/api-tokens', token)).json()
    const agent = caller(app, bearer(issued.token))
    const body = op === 'update' ? buyer : {}
    t.equal((await mass(agent, op, body)).statusCode, status, `${risk} ${op}`)
    if (!require_plan) continue
    const dry = await mass(agent, op, body, { prefer: 'dry-run' })
    const plan = { 'if-plan': String(dry.headers.plan) }
    if (op === 'update') t.equal((await mass(agent, op, body, plan)).statusCode, 200)
  }
  t.equal(await total(one.call, 'contacts?position=Buyer'), 101)
})

t.test('a job has the rights of the API token that it was started with', async t => {
  const one = await organization(app)
  const { call } = one
  await add(one, 2100)
  const account = (await call('POST /api/accounts', { name: 'Acme' })).json()
  const start = async (scopes: string[]) => {
    const token = { name: scopes.join(), scopes, risk: 'destructive' }
    const issued = (await call('POST /api/api-tokens', token)).json()
    const agent = caller(app, bearer(issued.token))
    const answer = await mass(agent, 'update', { data: { account_id: account.id } })
    return { issued, ...answer.json() }
  }
  const narrow = await start(['contacts:read', 'contacts:update'])
  await work(app)
  t.match((await call(`GET /api/jobs/${narrow.job_id}`)).json(), {
    state: 'completed',
    result: { changed: 0, failed: 2100 }
  })
  const ended = await start(['contacts:read', 'contacts:update', 'accounts:read'])
  await call(`DELETE /api/api-tokens/${ended.issued.id}`)
  await work(app)
  t.match((await call(`GET /api/jobs/${ended.job_id}`)).json(), { state: 'failed' })
  t.equal(await total(call, `contacts?account_id=${account.id}`), ended.changed)
})

t.test('what no longer matches when it is its turn is left as it is', async t => {
  const one = await organization(app)
  const { call } = one
  await add(one, 3)
  const [first] = (await call('GET /api/contacts')).json().data
  const other = app.services.database.pool
  const moved = Promise.withResolvers<void>()
  const changing = other.begin(async sql => {
    await sql`update contacts set company = 'Other', version = version + 1 where id = ${first.id}`
    await moved.promise
  })
  const deleting = mass(call, 'delete', {})
  while (!(await isWaiting())) await sleep(10)
  moved.resolve()
  await changing
  t.match((await deleting).json(), { matched: 3, changed: 2, failed: 0 })
  t.match((await call('GET /api/contacts')).json().data, [{ id: first.id, company: 'Other' }])
})

async function isWaiting(): Promise<boolean> {
  const waiting = await owner`select from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`
  return waiting.length > 0
}

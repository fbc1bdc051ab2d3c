// Operations in a row that are one statement: they do what they would do one by one.
import postgres from 'postgres'
import { test } from 'tap'
import {
  application,
  bearer,
  caller,
  database,
  organization,
  ownerOf,
  type App,
  type Call
} from '../../../support/app.ts'
import { protecting, userWith } from '../../../support/field-rights.ts'

const person = { first_name: 'Eva', last_name: 'Ek' }

interface Result {
  status: number
  id: number
  version?: number
  outcome?: string
}

async function run(call: Call, operations: object[], mode = 'independent'): Promise<Result[]> {
  const answer = await call('POST /api/batch', { mode, operations })
  return answer.json().results
}
const update = (id: number, data: object, others: object = {}) => ({
  op: 'update',
  type: 'contact',
  id,
  data,
  ...others
})
const statuses = (results: Result[]) => results.map(({ status }) => status)

const times = (count: number, data: object) => Array.from({ length: count }, () => data)

async function created(call: Call, type: string, all: object[]): Promise<number[]> {
  const creations = all.map(data => ({ op: 'create', type, data }))
  return (await run(call, creations)).map(({ id }) => id)
}

test('alike changes in a row are one statement; so are deletions and restorations', async t => {
  const app = await application(t)
  const { call } = await organization(app)
  await ownerOf(app).unsafe(`
    create table written (n int);
    grant insert on written to public;
    create function count_statement() returns trigger language plpgsql as
      'begin insert into written values (1); return null; end';
    create trigger counted after update on contacts
      for each statement execute function count_statement()`)
  const ids = await created(call, 'contact', times(5, person))
  const named = (op: string) => ids.map(id => ({ op, type: 'contact', id }))
  const results = await run(call, [
    ...ids.map(id => update(id, { company: 'Acme' })),
    ...ids.toReversed().map((id, i) => update(id, { company: i < 2 ? 'Acme' : 'Other' })),
    ...named('delete'),
    ...named('restore')
  ])
  t.same(
    results.map(({ id, version, outcome }) => [id, version, outcome]),
    [
      ...ids.map(id => [id, 2, 'updated']),
      ...ids.toReversed().map((id, i) => (i < 2 ? [id, 2, 'unchanged'] : [id, 3, 'updated'])),
      ...ids.map(id => [id, undefined, 'deleted']),
      ...ids.map((id, i) => [id, i < 3 ? 5 : 4, 'restored'])
    ]
  )
  const [written] = await ownerOf(app)`select count(*)::int from written`
  t.equal(written!.count, 4)
})

test('a value that must be unique is not given away before it was given up', async t => {
  const database_url = await database(t)
  const owner = postgres(database_url, { max: 1 })
  t.teardown(() => owner.end())
  // so that Postgres joins, and writes, in the order of IDs
  for (const method of ['hashjoin', 'nestloop'])
    await owner.unsafe(
      `alter database ${database_url.split('/').at(-1)!} set enable_${method} = off`
    )
  const { call } = await organization(await application(t, { database_url }))
  const external_ids = { erp: 'A' }
  const [a, b] = await created(call, 'contact', [{ ...person, external_ids }, person])
  const takeOver = [update(b!, { external_ids }), update(a!, { external_ids: { erp: null } })]
  t.same(statuses(await run(call, takeOver)), [409, 200])
  t.same(statuses(await run(call, takeOver.toReversed())), [200, 200])
  const [x, y] = await created(call, 'tag', [{ name: 'x' }, { name: 'y' }])
  const rename = (id: number, name: string) => ({ ...update(id, { name }), type: 'tag' })
  t.same(statuses(await run(call, [rename(y!, 'X'), rename(x!, 'z')])), [409, 200])
})

test('external IDs are merged', async t => {
  const { call } = await organization(await application(t))
  const one = { ...person, external_ids: { erp: 'A', shop: '1' } }
  const two = { ...person, external_ids: { erp: 'B' } }
  const ids = await created(call, 'contact', [one, two])
  const data = { external_ids: { crm: 'C', shop: null } }
  const other = { external_ids: { erp: 'E' } }
  t.same(statuses(await run(call, [update(ids[0]!, data), update(ids[1]!, other)])), [200, 200])
  const stored = async (id: number) => (await call(`GET /api/contacts/${id}`)).json().external_ids
  t.same(await stored(ids[0]!), { erp: 'A', crm: 'C' })
  t.same(await stored(ids[1]!), { erp: 'E' })
  const [{ id }] = (await call('GET /api/operations?limit=1')).json().data
  await call(`POST /api/operations/${id}/undo`)
  t.same(await stored(ids[0]!), one.external_ids)
  t.same(await stored(ids[1]!), two.external_ids)
})

test('each change has its rights, its version and its references', async t => {
  const one = await organization(await application(t))
  const { call } = one
  const [a, b, c] = (await created(call, 'contact', [person, person, person])) as [
    number,
    number,
    number
  ]
  const stale = [update(a, { company: 'A' }, { if_match: 1 }), update(b, person, { if_match: 9 })]
  t.same(statuses(await run(call, stale)), [200, 412])
  const stale2 = [a, b, c].map(id => update(id, { company: 'B' }, { if_match: 1 }))
  t.same(statuses(await run(call, stale2)), [412, 200, 200])
  const to = (id: number, account_id: number | null) => update(id, { account_id })
  t.same(statuses(await run(call, [to(a, null), to(b, 99), to(c, null)])), [200, 422, 200])
  const partner = await one.user('partner')
  const [own] = await created(partner.call, 'contact', [person])
  const company = { company: 'C' }
  const mixed = [update(own!, company), update(a, company)]
  t.same(statuses(await run(partner.call, mixed)), [200, 404])
  const removals = [own!, b].map(id => ({ op: 'delete', type: 'contact', id }))
  t.same(statuses(await run(partner.call, removals)), [204, 404])
  const { call: bound } = await userWith(one, [protecting('contacts', 'company')])
  t.same(
    statuses(
      await run(
        bound,
        [a, b].map(id => update(id, { company: 'B' }))
      )
    ),
    [403, 200]
  )
  const viewer = await one.user('viewer')
  t.same(
    statuses(
      await run(
        viewer.call,
        [a, b].map(id => update(id, company))
      )
    ),
    [403, 403]
  )
  t.same(statuses(await run(call, [update(a, company), update(a, { company: 'D' })])), [200, 200])
  t.equal((await call(`GET /api/contacts/${a}`)).json().company, 'D')
})

test('who may change nothing waits for nobody, and keeps nobody waiting', async t => {
  const app = await application(t)
  const one = await organization(app)
  const [id] = await created(one.call, 'contact', [person])
  const viewer = await one.user('viewer')
  await ownerOf(app).begin(async sql => {
    await sql`select from contacts where organization_id = ${one.id} and id = ${id!} for update`
    t.same(statuses(await run(viewer.call, [update(id!, { company: 'A' })])), [403])
  })
})

test('batches that change the same records in opposite orders do not stop each other', async t => {
  const database_url = await database(t)
  const app = await application(t, { database_url })
  const { call, admin } = await organization(app)
  const elsewhere = caller(await application(t, { database_url }), bearer(admin.token))
  const contacts = await created(call, 'contact', times(4, person))
  const deals = await created(call, 'opportunity', times(4, { title: 'Deal' }))
  const leads = await created(call, 'lead', times(4, {}))
  const changes = (round: number) => [
    ...contacts.map(id => update(id, { company: `Company ${round}` })),
    ...deals.map(id => ({ ...update(id, { title: `Deal ${round}` }), type: 'opportunity' })),
    ...leads.map(id => ({ ...update(id, { source: `fair ${round}` }), type: 'lead' }))
  ]
  for (let round = 0; round < 50; round++) {
    const forward = changes(2 * round)
    const backward = changes(2 * round + 1).toReversed()
    const answers = await Promise.all([run(call, forward), run(elsewhere, backward)])
    for (const results of answers) t.ok(results.every(({ status }) => status === 200))
  }
  t.equal(await deadlocksIn(app), 0)
})

async function deadlocksIn(app: App): Promise<number> {
  const [row] = await ownerOf(app)`
    select deadlocks::int from pg_stat_database where datname = current_database()`
  return (row as { deadlocks: number }).deadlocks
}

test('a deadlock that nobody could foresee is not noticed', async t => {
  const { call } = await organization(await application(t))
  const [a, b] = await created(
    call,
    'contact',
    ['A', 'B'].map(erp => ({ ...person, external_ids: { erp } }))
  )
  const crossing = (id: number, erp: string, company: string) => [
    update(id, { company }),
    ...Array.from({ length: 20 }, () => ({ op: 'create', type: 'lead', data: {} })),
    { op: 'upsert', type: 'contact', match: { external: { erp } }, data: { company } }
  ]
  for (const company of ['One', 'Two', 'Three']) {
    const answers = await Promise.all([
      run(call, crossing(a!, 'B', company)),
      run(call, crossing(b!, 'A', `Other ${company}`))
    ])
    for (const results of answers) t.ok(results.every(({ status }) => status < 300))
  }
})

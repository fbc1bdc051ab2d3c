// A record as it was: `as_of` on the request for one record.
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { application, organization, ownerOf, type Call } from '../../support/app.ts'
import { everything, hiding, userWith } from '../../support/field-rights.ts'
import { analyze, plansOf } from '../../support/plans.ts'

const app = await application(t)
const sql = ownerOf(app)
const { call, user, id: organization_id } = await organization(app)

interface State {
  id: number
  version: number
  updated_at: string
  deleted_at: string | null
  [field: string]: unknown
}

const contact = { first_name: 'Ada', last_name: 'Lovelace' }
const create = async (path: string, body: object): Promise<State> =>
  (await call(`POST /api/${path}`, body)).json()
const at = (ms: number) => new Date(ms).toISOString()

/** Runs `work` as the owner, without the triggers of events. */
async function unlogged<T>(work: (sql: typeof ownerSql) => Promise<T>): Promise<T> {
  return (await sql.begin(async sql => {
    await sql`set local session_replication_role = replica`
    return await work(sql as never)
  })) as T
}
const ownerSql = sql

/** One kind of record, and changes of it, some of which its triggers add something to. */
const kinds = [
  {
    path: 'contacts',
    body: contact,
    changes: [
      (i: number) => ({ last_name: `L${i}` }),
      (i: number) => ({ company: i % 2 ? null : `C${i}`, phone: `+49${i}` })
    ]
  },
  {
    path: 'leads',
    body: { source: 'website' },
    changes: [
      (i: number) => ({ status: ['new', 'contacted', 'qualified'][i % 3] }),
      (i: number) => ({ score: i % 100 })
    ]
  },
  {
    path: 'opportunities',
    body: { title: 'Sale', amount: 10.5 },
    changes: [
      (i: number) => ({
        stage: ['proposal', 'negotiation', 'lost', 'won'][i % 4],
        lost_reason: i % 4 === 2 ? 'Price' : null
      }),
      (i: number) => ({ amount: i + 0.25, close_date: '2026-12-01' })
    ]
  }
]

/** The states of a record: by several writers at once, deletions, and a slow transaction. */
async function writeMuch(writers: Call[], { path, body, changes }: (typeof kinds)[number]) {
  const one = await create(path, body)
  const url = `/api/${path}/${one.id}`
  const states = new Map<number, State>([[one.version, one]])
  const add = (state: State) => states.set(state.version, state)
  for (let round = 0; round < 5; round++) {
    await Promise.all(
      writers.map(async (write, w) => {
        for (const [c, change] of changes.entries()) {
          const answer = await write(`PATCH ${url}`, change(round * 10 + w * 3 + c))
          if (answer.statusCode !== 200) throw new Error(answer.body)
          add(answer.json())
        }
      })
    )
    // its events have the time at which it began, which is before those of the change in between
    await sql.begin(async sql => {
      await sql`select now()`
      await sleep(3)
      add((await writers[0]!(`PATCH ${url}`, changes[0]!(99 - round))).json())
      await sql.unsafe(`update ${path.replace('-', '_')} set version = version + 1,
        updated_at = now() where id = ${one.id}`)
    })
    add((await call(`GET ${url}`, undefined, { 'cache-control': 'no-cache' })).json())
    await call(`DELETE ${url}`)
    add((await call(`GET /api/${path}?deleted=true&id=${one.id}`)).json().data[0])
    await sleep(2)
    add((await call(`POST ${url}/restore`)).json())
  }
  return { url, states: [...states.values()].toSorted((a, b) => a.version - b.version) }
}

/** What a record was: the last state before the first one of a later time. */
function expectedAt(states: State[], moment: string): State | undefined {
  const later = states.findIndex(({ updated_at }) => updated_at > moment)
  return later === -1 ? states.at(-1) : states[later - 1]
}

t.test('a record at any time is what its writes made of it', async t => {
  const writers = [call, (await user('user')).call, (await user('user')).call]
  const started = Date.now()
  const written = await Promise.all(
    [...kinds, ...kinds].map(async kind => await writeMuch(writers, kind))
  )
  const span = Date.now() - started + 100
  const seen = new Set<string>()
  for (let i = 0; i < 1000; i++) {
    const { url, states } = written[i % written.length]!
    if (i < written.length)
      t.ok(
        states.some(({ updated_at }, v) => v > 0 && updated_at < states[v - 1]!.updated_at),
        'times are not in the order of versions'
      )
    const near = states[Math.floor(Math.random() * states.length)]!
    const moment =
      i % 3 === 0
        ? at(started - 50 + Math.random() * span)
        : at(Date.parse(near.updated_at) + (i % 3) - 1 - Math.round(Math.random()))
    const expected = expectedAt(states, moment)
    const answer = await call(`GET ${url}?as_of=${moment}`)
    seen.add(`${url} ${expected?.version}`)
    const message = `${url} as of ${moment}`
    if (!expected) t.equal(answer.statusCode, 404, message)
    else {
      t.equal(answer.body, JSON.stringify(expected), message)
      t.equal(answer.headers.etag, `"${expected.version}"`)
    }
  }
  t.ok(seen.size > 150, `${seen.size} different states`)
})

t.test('what was deleted then has its time of deletion, whatever became of it', async t => {
  const { id } = await create('contacts', contact)
  await sleep(3)
  await call(`DELETE /api/contacts/${id}`)
  const [deleted] = (await call(`GET /api/contacts?deleted=true&id=${id}`)).json().data
  const asOf = async (moment: string) => await call(`GET /api/contacts/${id}?as_of=${moment}`)
  t.same((await asOf('9999-12-31')).json(), deleted, 'it is deleted in the future, too')
  t.match((await asOf(at(Date.parse(deleted.deleted_at) - 1))).json(), { deleted_at: null })
  await sleep(3)
  await call(`POST /api/contacts/${id}/restore`)
  t.same((await asOf(deleted.deleted_at)).json(), deleted)
  t.match((await asOf('2100-01-01T00:00:00Z')).json(), { deleted_at: null, version: 3 })
  await sql`delete from contacts where id = ${id}`
  t.equal((await asOf(deleted.deleted_at)).statusCode, 404, 'what was purged is gone')
})

t.test('`fields` and If-None-Match are for the version of that time', async t => {
  const { id, updated_at } = await create('contacts', contact)
  await sleep(3)
  await call(`PATCH /api/contacts/${id}`, { last_name: 'King' })
  const request = `GET /api/contacts/${id}?as_of=${updated_at}&fields=last_name`
  const answer = await call(request)
  t.same([answer.json(), answer.headers.etag], [{ last_name: 'Lovelace' }, '"1"'])
  t.equal((await call(request, undefined, { 'if-none-match': '"1"' })).statusCode, 304)
  t.equal((await call(request, undefined, { 'if-none-match': '"2"' })).statusCode, 200)
})

t.test('a date is the end of the day where the organization is', async t => {
  const { call } = await organization(app)
  const { id } = (await call('POST /api/contacts', contact)).json()
  for (const time_zone of ['Pacific/Kiritimati', 'UTC', 'Etc/GMT+12']) {
    await call('PATCH /api/organization', { time_zone })
    const day = (ms: number) => new Intl.DateTimeFormat('sv-SE', { timeZone: time_zone }).format(ms)
    const status = async (moment: string) =>
      (await call(`GET /api/contacts/${id}?as_of=${moment}`)).statusCode
    t.equal(await status(day(Date.now())), 200, time_zone)
    t.equal(await status(day(Date.now() - 86_400_000)), 404, time_zone)
  }
})

t.test('what cannot be answered is refused', async t => {
  const { id } = await create('contacts', contact)
  for (const moment of ['', 'yesterday', '30d', '2026-02-30', '2026-03-31T23:59:59', '0000-01-01'])
    t.match((await call(`GET /api/contacts/${id}?as_of=${moment}`)).json(), {
      status: 400,
      errors: [{ parameter: 'as_of' }]
    })
  t.match((await call(`GET /api/contacts/${id}?as_of=2100-01-01&include=tags`)).json(), {
    status: 400,
    errors: [{ parameter: 'include', params: { excludes: 'as_of' } }]
  })
  t.equal((await call('GET /api/contacts?as_of=2100-01-01')).statusCode, 400, 'no lists yet')
  t.equal((await call(`GET /api/contacts/${id}?as_of=2001-01-01`)).statusCode, 404)
  t.equal((await call('GET /api/contacts/999999?as_of=2100-01-01')).statusCode, 404)
})

t.test('the rights are those of today', async t => {
  const organized = await organization(app)
  const { call } = organized
  const one = (
    await call('POST /api/contacts', { ...contact, phone: '+491', email: 'a@b.cc' })
  ).json()
  await call(`PATCH /api/contacts/${one.id}`, { phone: '+492' })
  const request = `GET /api/contacts/${one.id}?as_of=${one.updated_at}`
  const blind = await userWith(organized, [hiding('contacts', 'phone')])
  const { phone: _, ...shown } = one
  t.same((await blind.call(request)).json(), shown)
  t.equal((await blind.call(`${request}&fields=phone`)).statusCode, 400)
  const own = { resource: 'contacts', actions: everything, reach: 'own' }
  const confined = await userWith(organized, [own])
  t.equal((await confined.call(request)).statusCode, 404)
  await call(`PATCH /api/contacts/${one.id}`, { assigned_to: confined.user.id })
  t.match((await confined.call(request)).json(), { assigned_to: null }, 'it was not theirs then')
  await call(`PATCH /api/contacts/${one.id}`, { assigned_to: null })
  t.equal((await confined.call(request)).statusCode, 404)
  t.equal((await (await organization(app)).call(request)).statusCode, 404)
  await call(`DELETE /api/contacts/${one.id}`)
  t.equal((await blind.call(request)).statusCode, 200, 'as in its history')
})

t.test('the cache gives nothing and gets nothing', async t => {
  const { id, updated_at } = await create('contacts', contact)
  const { cache } = app.services
  const key = `${organization_id}/contact/${id}`
  const request = `GET /api/contacts/${id}?as_of=${updated_at}`
  const { body } = await call(request)
  t.equal(cache.peek(key), undefined)
  await cache.read(key, async () => ({ etag: '"9"', body: '{"id":9}' }))
  t.equal((await call(request)).body, body)
  t.match(cache.peek(key), { etag: '"9"' })
})

/** Stores a contact as if there were no log, long ago. */
async function storeOld(t: Test, created_at: string): Promise<number> {
  const [row] = await unlogged(
    async sql =>
      await sql<{ id: number }[]>`
      insert into contacts (organization_id, first_name, last_name, created_at, updated_at)
      values (${organization_id}, 'Old', 'Timer', ${created_at}, ${created_at}) returning id`
  )
  t.ok(row)
  return row!.id
}

t.test('what was stored before there was a log is as it was until the first event', async t => {
  const id = await storeOld(t, '2020-05-01T00:00:00Z')
  const asOf = async (moment: string) => await call(`GET /api/contacts/${id}?as_of=${moment}`)
  for (const round of ['without events', 'with events']) {
    t.match((await asOf('2020-05-02')).json(), { id, last_name: 'Timer', version: 1 }, round)
    t.equal((await asOf('2020-04-30')).statusCode, 404, round)
    await call(`PATCH /api/contacts/${id}`, { last_name: 'Changed' })
  }
  await sql`update contacts set last_name = 'by hand' where id = ${id}`
  t.match((await asOf('9999-12-31')).json(), { last_name: 'by hand', version: 2 })
})

t.test('an event of other columns is a record of those of today', async t => {
  const id = await storeOld(t, '2020-05-01T00:00:00Z')
  const after = {
    id,
    version: 1,
    first_name: 'Old',
    fax: '+49',
    last_name: 'Event',
    created_at: '2020-05-01T00:00:00+00:00',
    updated_at: '2020-05-01T00:00:00.5+00:00',
    deleted_at: null
  }
  await sql`insert into events
    (organization_id, type, subject_type, subject_id, changed, after, created_at)
    values (${organization_id}, 'contact.created', 'contact', ${id}, '{}', ${sql.json(after)},
      '2020-05-01T00:00:00Z')`
  const then = (await call(`GET /api/contacts/${id}?as_of=2020-05-01T00:00:00Z`)).json()
  t.match(then, {
    last_name: 'Event',
    tags: [],
    assigned_to: null,
    updated_at: '2020-05-01T00:00:00.500Z'
  })
  const now = (await call(`GET /api/contacts/${id}`)).json()
  t.same(Object.keys(then), Object.keys(now), 'its fields are those of now, in their order')
  t.equal((await call(`GET /api/contacts/${id}?as_of=2020-04-30T23:59:59Z`)).statusCode, 404)
})

t.test('a long history costs little', async t => {
  const { id } = await create('contacts', contact)
  // this record's, and those of thousands of others
  await sql`insert into events (organization_id, type, subject_type, subject_id, changed, before,
      after, created_at)
    select organization_id, type, subject_type, subject_id + n % 5000, changed, before, after,
      created_at
    from events, generate_series(1, 30000) n
    where subject_type = 'contact' and subject_id = ${id} and n % 5000 > 0
    union all
    select organization_id, 'contact.updated', subject_type, subject_id, '{last_name}', after,
      after, created_at + n * interval '1 second'
    from events, generate_series(1, 10000) n
    where subject_type = 'contact' and subject_id = ${id} and before is null`
  await analyze(app)
  for (const seconds of [1, 5000, 9990, 20_000]) {
    const request = `GET /api/contacts/${id}?as_of=${at(Date.now() + seconds * 1000)}`
    const plans = await plansOf(app, async () => await call(request))
    t.equal(plans.length, 1)
    t.equal(plans[0]!.match(/idx_events_subject/g)?.length, 2, plans.join())
    t.notMatch(plans[0]!, /Seq Scan|events_key/)
    const times: number[] = []
    for (let i = 0; i < 9; i++) {
      const started = performance.now()
      await call(request)
      times.push(performance.now() - started)
    }
    t.ok(times.toSorted((a, b) => a - b)[4]! < 100, `${times.map(Math.round).join()} ms`)
  }
})

import { setTimeout as sleep } from 'node:timers/promises'
import type postgres from 'postgres'
import t from 'tap'
import { application, organization, ownerOf, type Call } from '../../support/app.ts'

const app = await application(t)
const owner = ownerOf(app)
/** Chains what is new, in a process of its own. Returns how many. */
const chain = async (most = 10_000) => {
  const [row] = await owner<{ added: number }[]>`select chain_events(${most}) as added`
  return row!.added
}

interface Verification {
  is_intact: boolean
  verified: number
  position: number | null
  hash: string | null
  has_more: boolean
  pending: number
  first_break: { position: number; event_id: number; reason: string } | null
}
const verify = async (call: Call, after = 0) =>
  (await call(`GET /api/audit/verification?after=${after}`)).json<Verification>()

/** An organization with five contacts, whose events are chained. */
async function chained() {
  const one = await organization(app)
  for (let i = 0; i < 5; i++)
    await one.call('POST /api/contacts', { first_name: 'A', last_name: `N${i}` })
  await chain()
  return one
}

/** Runs a statement as somebody could who owns the tables. */
async function tamper(statement: string): Promise<void> {
  await owner.begin(async sql => {
    await sql`alter table events disable trigger events_are_final`
    await sql.unsafe(statement)
    await sql`alter table events enable trigger events_are_final`
  })
}

t.test('every event is chained exactly once, while many write and chain', async t => {
  const { id } = await organization(app)
  const writing = new AbortController()
  const slow = owner.begin(async sql => {
    await sql`insert into leads (organization_id, source) values (${id}, 'slow')`
    await sleep(1_000)
  })
  const chaining = Array.from({ length: 3 }, async () => {
    while (!writing.signal.aborted) {
      await chain()
      await sleep(5)
    }
  })
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    for (let i = 0; i < 25; i++)
      await owner.begin(async sql => {
        await sql`insert into leads (organization_id, source) values (${id}, ${`${writer}-${i}`})`
        await sleep(Math.random() * 10)
        await sql`insert into leads (organization_id, source) values (${id}, ${`${writer}+${i}`})`
      })
  })
  await Promise.all([...writers, slow])
  writing.abort()
  await Promise.all(chaining)
  // other databases of the server have transactions, too: they only delay what is seen
  for (let i = 0; i < 100 && (await chain()) > 0; i++) await sleep(10)
  const [counts] = await owner`
    select (select count(*) from events where organization_id = ${id}) as events,
      count(*) as entries, count(distinct event_id) as distinct_events, max(position) as last
    from event_chain where organization_id = ${id}`
  const { events } = counts!
  t.ok(events > 400)
  t.match(counts, { entries: events, distinct_events: events, last: events })
})

t.test('an untouched chain is intact, in parts too', async t => {
  const { call } = await chained()
  const whole = await verify(call)
  t.match(whole, { is_intact: true, has_more: false, pending: 0, first_break: null })
  t.match(whole.hash, /^[0-9a-f]{64}$/)
  t.equal(whole.verified, whole.position)
  const rest = await verify(call, 3)
  t.same(rest, { ...whole, verified: whole.verified - 3 })
  t.match(await verify(call, whole.position!), { is_intact: true, verified: 0, position: null })
  await call('POST /api/contacts', { first_name: 'A', last_name: 'later' })
  t.match(await verify(call), { is_intact: true, verified: whole.verified, pending: 1 })
  await chain()
  t.match(await verify(call), { is_intact: true, verified: whole.verified + 1, pending: 0 })
})

const third = (id: number) =>
  `select event_id from event_chain where organization_id = ${id} and position = 3`
const tamperings: [string, string, (id: number) => string][] = [
  [
    'a changed event',
    'event_changed',
    id => `update events set after = after || '{"last_name":"Other"}' where id in (${third(id)})`
  ],
  [
    'another author',
    'event_changed',
    id => `update events set actor_id = 7 where id in (${third(id)})`
  ],
  ['a deleted event', 'event_missing', id => `delete from events where id in (${third(id)})`],
  [
    'a deleted entry',
    'entry_missing',
    id => `delete from event_chain where organization_id = ${id} and position = 3`
  ],
  [
    'a changed event with its digest',
    'hash_changed',
    id => `update events set actor_id = 7 where id in (${third(id)});
      update event_chain c set digest = event_digest(e) from events e
        where e.id = c.event_id and e.id in (${third(id)})`
  ]
]
for (const [what, reason, statement] of tamperings)
  t.test(`${what} is found, in its organization only`, async t => {
    const [one, other] = [await chained(), await chained()]
    const [before] = await owner.unsafe(third(one.id))
    await tamper(statement(one.id))
    t.match(await verify(one.call), {
      is_intact: false,
      first_break: {
        position: 3,
        reason,
        ...(reason !== 'entry_missing' && { event_id: before!.event_id })
      }
    })
    t.match(await verify(other.call), { is_intact: true })
  })

t.test('the digest covers every column', async t => {
  const { id } = await chained()
  const columns = await owner<{ name: string; type: string }[]>`
    select attname as name, format_type(atttypid, null) as type from pg_attribute
    where attrelid = 'events'::regclass and attnum > 0 and not attisdropped`
  const samples: Record<string, postgres.JSONValue> = {
    bigint: 7,
    xid8: '7',
    text: 'x',
    'character varying': 'x',
    'text[]': ['x'],
    jsonb: { x: null },
    'timestamp with time zone': '2026-01-01'
  }
  const differ = async (one: Record<string, postgres.JSONValue>, other = {}) => {
    const [row] = await owner<{ differ: boolean }[]>`
      select event_digest(jsonb_populate_record(e, ${owner.json(one)}))
        <> event_digest(jsonb_populate_record(e, ${owner.json(other)})) as differ
      from events e where organization_id = ${id} limit 1`
    return row!.differ
  }
  t.ok(columns.length > 10)
  for (const { name, type } of columns)
    t.ok(await differ({ [name]: samples[type]! }), `${name}, of the type ${type}`)
  t.ok(await differ({ after: {} }, { after: { x: null } }), 'a field without a value')
})

t.test('after a restore, transactions count anew, and new events are chained', async t => {
  const { call, id } = await organization(app)
  await call('POST /api/contacts', { first_name: 'A', last_name: 'before it' })
  await tamper(`update events set xid = '9000000000' where organization_id = ${id}`)
  await owner`update event_sequence set snapshot = '9000000001:9000000001:'`
  await call('POST /api/contacts', { first_name: 'A', last_name: 'after it' })
  t.ok((await chain()) > 0)
  t.match(await verify(call), { is_intact: true, pending: 0 })
  t.equal(await chain(), 0)
  t.match(await verify(call), { pending: 0 })
})

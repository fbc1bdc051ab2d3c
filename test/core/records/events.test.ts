import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { application, organization, ownerOf } from '../../support/app.ts'

const app = await application(t)
const sql = ownerOf(app)

t.test('every change of a record writes an event', async t => {
  const { call, id: organization_id, admin } = await organization(app)
  const { id } = (await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })).json()

  await t.test('a change in psql has no actor', async t => {
    await sql`update contacts set last_name = 'by hand' where id = ${id}`
    t.match((await call(`GET /api/contacts/${id}/history`)).json().data[0], {
      type: 'contact.updated',
      actor_id: null,
      changed: ['last_name'],
      before: { last_name: 'B' },
      after: { last_name: 'by hand' }
    })
  })

  await t.test('a change by a user has its actor', async t => {
    await call(`PATCH /api/contacts/${id}`, { last_name: 'C', email: 'c@example.com' })
    t.match((await call(`GET /api/contacts/${id}/history`)).json().data[0], {
      actor_id: admin.user.id,
      changed: ['email', 'last_name']
    })
  })

  await t.test('a statement that changes a thousand rows writes a thousand events', async t => {
    await sql`insert into leads (organization_id, source) select ${organization_id}, 'import'
      from generate_series(1, 1000)`
    const [{ count } = { count: 0 }] = await sql<
      { count: number }[]
    >`select count(*) from events where organization_id = ${organization_id}
      and type = 'lead.created'`
    t.equal(count, 1000)
    await sql`delete from leads where organization_id = ${organization_id}`
    const [purged] = await sql<
      { count: number }[]
    >`select count(*) from events where organization_id = ${organization_id}
      and type = 'lead.purged'`
    t.equal(purged!.count, 1000)
  })

  await t.test('events cannot be changed or deleted', async t => {
    for (const statement of [
      'truncate leads cascade',
      'delete from events where id = 1',
      'update events set actor_id = 1',
      'truncate events'
    ])
      await t.rejects(sql.unsafe(statement), /refused/, statement)
  })

  await t.test('a change that is rolled back writes none', async t => {
    const count = async () =>
      (await sql`select 1 from events where organization_id = ${organization_id}`).length
    const before = await count()
    await sql
      .begin(async sql => {
        await sql`update contacts set last_name = 'never' where id = ${id}`
        throw new Error('undone')
      })
      .catch(() => {})
    await call('POST /api/contacts', { first_name: 'A', last_name: 'B', account_id: 999_999 })
    t.equal(await count(), before)
  })
})

t.test('a changed password is in no event', async t => {
  const { call, user } = await organization(app)
  const one = await user('user')
  await call(`PATCH /api/users/${one.user.id}`, { password: 'another harbour 48' })
  const [event] = (await call(`GET /api/users/${one.user.id}/history`)).json().data
  t.match(event, { type: 'user.updated', changed: ['password_hash'] })
  t.notMatch(JSON.stringify(event), /argon2/)
})

t.test('a reader by (xid, id) below the oldest running transaction misses nothing', async t => {
  const { id: organization_id } = await organization(app)
  const seen: number[] = []
  let at = { xid: '0', id: 0 }
  const read = async () => {
    const events = await sql<{ xid: string; id: number }[]>`
      select xid::text, id from events where organization_id = ${organization_id}
        and (xid, id) > (${at.xid}::text::xid8, ${at.id})
        and xid < pg_snapshot_xmin(pg_current_snapshot()) order by events.xid, id`
    for (const event of events) seen.push(event.id)
    at = events.at(-1) ?? at
  }
  const writing = new AbortController()
  const writers = Array.from({ length: 6 }, async (_, writer) => {
    for (let i = 0; i < 25; i++) {
      await sql.begin(async sql => {
        await sql`insert into leads (organization_id, source)
          values (${organization_id}, ${`${writer}-${i}`})`
        await sql`select pg_sleep(${Math.random() * 0.01})`
      })
    }
  })
  const reader = (async () => {
    while (!writing.signal.aborted) await read()
  })()
  await Promise.all(writers)
  writing.abort()
  await reader
  const all = (
    await sql<{ id: number }[]>`select id from events where organization_id = ${organization_id}`
  ).map(({ id }) => id)
  // transactions in other databases of the server are also among the running ones
  for (let i = 0; i < 1000 && seen.length < all.length; i++) {
    await read()
    await sleep(10)
  }
  t.same(
    seen.toSorted((a, b) => a - b),
    all.toSorted((a, b) => a - b)
  )
  t.equal(new Set(seen).size, seen.length, 'no event is read twice')
})

// One organization does all that it can; what others do goes on.
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import {
  application,
  database,
  longTimeouts,
  login,
  organization,
  ownerOf,
  work
} from '../support/app.ts'

/** Locks a table, as `ALTER TABLE` does, until `release` is called. */
async function lock(t: Test, url: string, table: string) {
  const sql = postgres(url, { max: 1 })
  t.teardown(async () => {
    await sql.end({ timeout: 0 })
  })
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const { promise: locked, resolve: begin } = Promise.withResolvers<void>()
  const done = sql.begin(async sql => {
    await sql`lock table ${sql(table)} in access exclusive mode`
    begin()
    await released
  })
  await locked
  return async () => {
    release()
    await done
  }
}

/** Waits until exactly so many slow statements are running. */
async function untilRunning(
  sql: postgres.Sql,
  count: number,
  connections = 'smartx-slow'
): Promise<void> {
  const running = async () =>
    (
      await sql`select from pg_stat_activity where datname = current_database()
        and application_name = ${connections} and state = 'active'`
    ).length
  while ((await running()) !== count) await sleep(10)
}

async function twoOrganizations(t: Test, timeouts: object = {}) {
  const url = await database(t)
  const app = await application(t, {
    database_url: url,
    database: { strict_locks: true, timeouts: { ...longTimeouts, ...timeouts } }
  })
  const [greedy, other] = [await organization(app), await organization(app)]
  return { url, app, greedy, other, sql: app.services.database.pool }
}

const contact = { first_name: 'A', last_name: 'B' }

t.test(
  'three slow requests of an organization run at a time; others wait, then are 429',
  async t => {
    const { url, app, greedy, other, sql } = await twoOrganizations(t)
    const { id } = (await greedy.call('POST /api/contacts', contact)).json()
    const release = await lock(t, url, 'tags')
    const refusals: number[] = []
    const requests = Array.from({ length: 110 }, async () => {
      const { statusCode } = await greedy.call('GET /api/tags')
      if (statusCode === 429) refusals.push(statusCode)
      return statusCode
    })
    await untilRunning(sql, 3)
    while (refusals.length < 7) await sleep(10)
    await untilRunning(sql, 3)

    const refused = await greedy.call('GET /api/contacts')
    t.match(
      [refused.statusCode, refused.json().code, refused.headers['retry-after']],
      [429, 'too_many_requests', /^\d+$/]
    )
    for (const request of [`GET /api/contacts/${id}`, `PATCH /api/contacts/${id}`])
      t.equal((await greedy.call(request, { last_name: 'C' })).statusCode, 200, request)
    for (const [request, status] of [
      ['GET /api/contacts?count=exact', 200],
      ['GET /api/reports/pipeline', 200],
      ['POST /api/contacts', 201]
    ] as const)
      t.equal((await other.call(request, contact)).statusCode, status, `another one: ${request}`)
    await login(app, other.admin.user.username)

    await release()
    const statuses = await Promise.all(requests)
    t.same(
      Object.entries(Object.groupBy(statuses, String)).map(([s, all]) => [s, all!.length]),
      [
        ['200', 103],
        ['429', 7]
      ]
    )
  }
)

t.test('a request that was fast stays so beside slow ones of others', async t => {
  const { url, greedy, other, sql } = await twoOrganizations(t)
  const release = await lock(t, url, 'tags')
  const slow = Array.from({ length: 30 }, async () => await greedy.call('GET /api/tags'))
  await untilRunning(sql, 3)
  await untilRunning(sql, 0, 'smartx-lists')
  for (let i = 0; i < 20; i++)
    t.equal((await other.call('GET /api/contacts')).statusCode, 200, 'of another organization')
  await release()
  for (const { statusCode } of await Promise.all(slow)) t.equal(statusCode, 200)
})

t.test('a locked table does not delay reads of other tables by ID', async t => {
  const { url, greedy, other } = await twoOrganizations(t)
  const { id } = (await greedy.call('POST /api/contacts', contact)).json()
  const { id: lead } = (await other.call('POST /api/leads', {})).json()
  const fresh = { 'cache-control': 'no-cache' }
  const release = await lock(t, url, 'contacts')
  const waiting = Array.from(
    { length: 20 },
    async () => await greedy.call(`GET /api/contacts/${id}`, undefined, fresh)
  )
  for (let i = 0; i < 20; i++)
    t.equal((await other.call(`GET /api/leads/${lead}`, undefined, fresh)).statusCode, 200)
  await release()
  for (const { statusCode } of await Promise.all(waiting)) t.equal(statusCode, 200)
  t.equal((await greedy.call(`GET /api/contacts/${id}`, undefined, fresh)).statusCode, 200)
})

t.test(
  'writes that wait for a lock leave connections to the writes and logins of others',
  async t => {
    const { url, app, greedy, other, sql } = await twoOrganizations(t)
    const { id } = (await greedy.call('POST /api/contacts', contact)).json()
    const release = await lock(t, url, 'contacts')
    const waiting = Array.from(
      { length: 20 },
      async () => await greedy.call(`PATCH /api/contacts/${id}`, { last_name: 'C' })
    )
    const locked = async () =>
      await sql`select from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`
    while ((await locked()).length < 4) await sleep(10)
    for (let i = 0; i < 5; i++)
      t.equal((await other.call('POST /api/tags', { name: `${i}` })).statusCode, 201)
    await login(app, other.admin.user.username)
    await release()
    for (const { statusCode } of await Promise.all(waiting)) t.equal(statusCode, 200)
  }
)

t.test('counts and reports have a shorter time limit than lists', async t => {
  const { url, greedy } = await twoOrganizations(t, { aggregate: 200 })
  const release = await lock(t, url, 'opportunities')
  const list = greedy.call('GET /api/opportunities')
  for (const request of [
    'GET /api/opportunities?count=exact',
    'GET /api/reports/pipeline',
    'GET /api/reports/forecast',
    'GET /api/reports/sources'
  ])
    t.equal((await greedy.call(request)).statusCode, 503, request)
  await release()
  t.equal((await list).statusCode, 200)
})

t.test('two exports of an organization run at a time', async t => {
  const { url, greedy, other, sql } = await twoOrganizations(t, { turn: 200 })
  const csv = { accept: 'text/csv' }
  const release = await lock(t, url, 'tags')
  const two = [1, 2].map(async () => await greedy.call('GET /api/tags', undefined, csv))
  await untilRunning(sql, 2)
  t.equal((await greedy.call('GET /api/contacts', undefined, csv)).statusCode, 429)
  t.equal((await greedy.call('GET /api/contacts')).statusCode, 200, 'a page is no export')
  t.equal((await other.call('GET /api/contacts', undefined, csv)).statusCode, 200)
  await release()
  for (const { statusCode } of await Promise.all(two)) t.equal(statusCode, 200)
  for (let i = 0; i < 5; i++)
    t.equal((await greedy.call('GET /api/contacts', undefined, csv)).statusCode, 200)
})

t.test('jobs take turns between organizations', async t => {
  const { app, greedy, other, sql } = await twoOrganizations(t)
  for (const { id, call } of [greedy, other]) {
    await sql`insert into contacts (organization_id, first_name, last_name)
      select ${id}, 'A', 'B' from generate_series(1, 1200) n`
    await call('POST /api/campaigns', { name: 'A' })
  }
  const add = async ({ call }: typeof greedy, filter: string) => {
    const [campaign] = (await call('GET /api/campaigns')).json().data
    const body = { resource: 'contacts', filter }
    const added = await call(`POST /api/campaigns/${campaign.id}/members`, body)
    t.equal(added.json().pending, true)
  }
  for (let i = 1; i <= 5; i++) await add(greedy, `last_name[in]=B,C${i}`)
  await add(other, 'last_name=B')
  const owner = ownerOf(app)
  await owner`create table begun (id int generated always as identity, organization_id bigint)`
  await owner`create function note_start() returns trigger language plpgsql as $$
    begin
      insert into begun (organization_id) values ((new.payload->>'organization_id')::bigint);
      return new;
    end $$`
  await owner`create trigger note_start before update on graphile_worker._private_jobs for each row
    when (old.locked_at is null and new.locked_at is not null) execute function note_start()`
  await work(app)
  const begun = (await sql`select organization_id from begun order by id`).map(
    row => row.organization_id as number
  )
  t.equal(begun.filter(id => id === greedy.id).length, 5)
  t.ok(begun.indexOf(other.id) <= 1, `${begun.join()}: no more than one turn comes first`)
})

t.test('the same members are added by one job', async t => {
  const { app, greedy, sql } = await twoOrganizations(t)
  await sql`insert into contacts (organization_id, first_name, last_name)
    select ${greedy.id}, 'A', 'B' from generate_series(1, 2500) n`
  const { id } = (await greedy.call('POST /api/campaigns', { name: 'A' })).json()
  const body = { resource: 'contacts', filter: 'last_name=B' }
  await Promise.all(
    Array.from(
      { length: 20 },
      async () => await greedy.call(`POST /api/campaigns/${id}/members`, body)
    )
  )
  t.equal((await sql`select from graphile_worker.jobs`).length, 1)
  await work(app)
  const members = await greedy.call(
    `GET /api/campaign-members?campaign_id=${id}&count=exact&limit=1`
  )
  t.equal(members.json().total, 2500)
})

t.test('a job has the present rights of its author', async t => {
  const { app, greedy, sql } = await twoOrganizations(t)
  await sql`insert into contacts (organization_id, first_name, last_name)
    select ${greedy.id}, 'A', 'B' from generate_series(1, 1500) n`
  const total = async (id: number) =>
    (await greedy.call(`GET /api/campaign-members?campaign_id=${id}&count=exact&limit=1`)).json()
      .total
  for (const [changes, expected] of [
    [{ status: 'disabled' }, 1000],
    [{ role: 'viewer' }, 1000],
    [{ email: 'new@example.com' }, 1500]
  ] as const) {
    const author = await greedy.user('user')
    const { id } = (await author.call('POST /api/campaigns', { name: 'A' })).json()
    const body = { resource: 'contacts', filter: 'last_name=B' }
    const added = await author.call(`POST /api/campaigns/${id}/members`, body)
    t.match(added.json(), { added: 1000, pending: true })
    await greedy.call(`PATCH /api/users/${author.user.id}`, changes)
    await work(app)
    t.equal(await total(id), expected, JSON.stringify(changes))
  }
})

// A database of an earlier release becomes one of this, with all that is in it.
import { setTimeout as sleep } from 'node:timers/promises'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { drizzle, migrate as apply } from '../../src/core/db/drizzle.ts'
import { embeddedRole } from '../../src/bootstrap/application-role.ts'
import { migrate as migrateAs } from '../../src/bootstrap/migrations.ts'
import { version } from '../../src/version.ts'
import { application, bearer, caller, database, login, settingsOf } from '../support/app.ts'
import { run, start } from '../support/process.ts'

/** Migrates as the owner, for the role of the application. */
const migrate = async (url: string, report?: (line: string) => void) => {
  await migrateAs(url, report, embeddedRole)
}

/** A database without any table, and a connection to it. */
async function emptyDatabase(t: Test) {
  const url = await database(t)
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  await sql.unsafe(
    'drop schema public cascade; drop schema drizzle cascade; drop schema graphile_worker ' +
      'cascade; create schema public'
  )
  return { url, sql }
}

/** Makes a database as the migrations up to and with `tag` leave it. */
async function migrateUpTo(url: string, tag: string) {
  const folder = mkdtempSync(path.join(tmpdir(), 'smartx-migrations-'))
  cpSync('drizzle', folder, { recursive: true })
  const journal = JSON.parse(readFileSync(`${folder}/meta/_journal.json`, 'utf8')) as {
    entries: { tag: string }[]
  }
  journal.entries.length = journal.entries.findIndex(entry => entry.tag === tag) + 1
  writeFileSync(`${folder}/meta/_journal.json`, JSON.stringify(journal))
  const client = postgres(url, { max: 1, onnotice: () => {} })
  await apply(drizzle(client), { migrationsFolder: folder })
  await client.end()
  rmSync(folder, { recursive: true })
}

/** A database as the migrations up to and with `tag` leave it, and a connection to it. */
async function databaseOf(t: Test, tag: string) {
  const empty = await emptyDatabase(t)
  await migrateUpTo(empty.url, tag)
  return empty
}

/** The same, and the hash of a password. */
async function earlierRelease(t: Test, tag: string) {
  const { url, sql } = await databaseOf(t, tag)
  const app = await application(t)
  const hash = await app.services.passwords.hash('a quiet harbour 47')
  return { url, sql, hash }
}

t.test('opportunities that are older than pipelines continue in the default one', async t => {
  const { url, sql, hash } = await earlierRelease(t, '0002_event_log')
  await sql`insert into organizations (name) values ('One'), ('Two')`
  await sql`insert into users (organization_id, username, email, password_hash, role)
    values (1, 'one', 'one@example.com', ${hash}, 'admin'),
    (2, 'two', 'two@example.com', ${hash}, 'admin')`
  await sql`insert into opportunities (organization_id, title, stage, probability, amount)
    values (1, 'open', 'proposal', 66, 10), (1, 'won', 'won', 90, 20), (2, 'lost', 'lost', 5, 30),
    (2, 'new', 'prospecting', 0, 40)`
  await sql`insert into leads (organization_id, status) values (1, 'qualified')`
  await migrate(url)

  const migrated = await application(t, { database_url: url })
  const call = async (who: string) => caller(migrated, bearer((await login(migrated, who)).token))
  const [one, two] = [await call('one'), await call('two')]
  t.match((await one('GET /api/opportunities?sort=id')).json().data, [
    {
      title: 'open',
      stage: 'proposal',
      status: 'open',
      probability: 66,
      closed_at: null,
      pipeline_id: 1
    },
    { title: 'won', stage: 'won', status: 'won', probability: 100, closed_at: /Z$/, pipeline_id: 1 }
  ])
  t.match((await two('GET /api/opportunities?sort=id')).json().data, [
    { title: 'lost', status: 'lost', probability: 0, pipeline_id: 2 },
    { title: 'new', status: 'open', probability: 0 }
  ])
  t.match((await two('GET /api/pipelines?include=stages')).json().data, [
    {
      id: 2,
      name: 'Sales',
      is_default: true,
      included: {
        stages: [{ key: 'prospecting' }, {}, {}, {}, { key: 'won', kind: 'won' }, { key: 'lost' }]
      }
    }
  ])
  t.match((await one('GET /api/opportunities/1/moves')).json().data, [
    { from_stage: null, to_stage: 'proposal', seconds: null }
  ])
  t.equal((await one('PATCH /api/opportunities/1', { stage: 'negotiation' })).statusCode, 200)
  t.match((await one('GET /api/opportunities/1/moves')).json().data[0], {
    from_stage: 'proposal',
    to_stage: 'negotiation'
  })
  t.equal((await two('POST /api/opportunities', { title: 'next' })).json().stage, 'prospecting')
})

t.test('activities of leads that were converted before follow them', async t => {
  const { url, sql, hash } = await earlierRelease(t, '0006_hidden_columns')
  await sql`insert into organizations (name) values ('One')`
  await sql`insert into users (organization_id, username, email, password_hash, role)
    values (1, 'one', 'one@example.com', ${hash}, 'admin')`
  await sql`insert into accounts (organization_id, name) values (1, 'Zenith Ltd')`
  await sql`insert into contacts (organization_id, first_name, last_name) values (1, 'A', 'B')`
  await sql`insert into leads (organization_id, status) values (1, 'converted'), (1, 'new')`
  await sql`insert into activities (organization_id, type, subject, links)
    values (1, 'note', 'N', '[{"type": "lead", "id": 1}]'),
    (1, 'note', 'N', '[{"type": "lead", "id": 2}]')`
  await sql`insert into conversions
    (organization_id, lead_id, account_id, contact_id, lead_before, traces)
    values (1, 1, 1, 1, '{"status": "new", "contact_id": null, "unqualified_reason": null}', '{}')`
  await migrate(url)

  const migrated = await application(t, { database_url: url })
  const call = caller(migrated, bearer((await login(migrated, 'one')).token))
  for (const type of ['account', 'contact'])
    t.match((await call(`GET /api/activities?${type}_id=1&count=exact`)).json(), {
      data: [{ id: 1 }],
      total: 1
    })
  t.equal((await call('DELETE /api/leads/1/conversion')).statusCode, 200)
  t.same((await call('GET /api/activities?account_id=1')).json().data, [])
})

t.test(
  'a database of a newer release is refused with one line; running processes go on',
  async t => {
    const url = await database(t)
    const env = { ...settingsOf(url), ADMIN_PASSWORD: 'a quiet harbour 47' }
    const running = await start(t, env)
    const sql = postgres(url, { max: 1 })
    t.teardown(() => sql.end())
    await sql`insert into drizzle.__drizzle_migrations (hash, created_at)
      values ('newer', ${Date.now() + 1e9})`

    const refused = await start(t, env)
    const line =
      `The database was migrated by a newer release than ${version}: start that release, or a ` +
      'later one\n'
    t.same([await refused.ended, refused.output()], [1, line])
    const command = await run(process.execPath, ['scripts/password.ts', 'admin@example.com'], {
      env
    })
    t.same(command, { code: 1, output: line }, 'commands are refused as well')

    t.equal((await running.send('GET /readyz')).status, 200, 'the running process is ready')
    const credentials = { username: 'admin@example.com', password: env.ADMIN_PASSWORD }
    t.equal((await running.send('POST /api/auth/login', credentials)).status, 200, 'and works')
  }
)

t.test(
  'opportunities whose status contradicts their stage are corrected, with an event',
  async t => {
    const { url, sql } = await databaseOf(t, '0006_hidden_columns')
    await sql`insert into organizations (name) values ('One')`
    const [pipeline] = await sql`insert into pipelines (organization_id, name, is_default)
    values (1, 'Sales', true) returning id`
    await sql`insert into stages
      (organization_id, pipeline_id, key, name, position, probability, kind)
    select 1, ${pipeline!.id}, kind, kind, 1, probability, kind
    from (values ('open', 50), ('won', 100), ('lost', 0)) stage (kind, probability)`
    const closed_at = '2026-01-02T03:04:05.000Z'
    await sql`insert into opportunities
      (organization_id, pipeline_id, title, stage, status, probability, closed_at, deleted_at)
    select 1, ${pipeline!.id}, title, stage, status, 30, closed_at::timestamptz,
      deleted_at::timestamptz
    from (values
      ('right', 'won', 'won', ${closed_at}, null),
      ('of an older release', 'won', 'open', null, null),
      ('reopened', 'open', 'won', ${closed_at}, null),
      ('without a time', 'lost', 'lost', null, null),
      ('deleted', 'won', 'open', null, ${closed_at})
    ) row (title, stage, status, closed_at, deleted_at)`
    await migrate(url)
    const corrected = await sql`
    select title, status, probability, version, closed_at is null as is_open, (
      select changed from events where subject_id = o.id and type = 'opportunity.updated'
    ) as changed
    from opportunities o order by id`
    t.same(
      corrected.map(row => Object.values(row)),
      [
        ['right', 'won', 30, 1, false, null],
        ['of an older release', 'won', 100, 2, false, ['closed_at', 'probability', 'status']],
        ['reopened', 'open', 30, 2, true, ['closed_at', 'status']],
        ['without a time', 'lost', 0, 2, false, ['closed_at', 'probability']],
        ['deleted', 'won', 100, 2, false, ['closed_at', 'probability', 'status']]
      ]
    )
    await t.rejects(
      sql`update opportunities set stage = 'won' where title = 'reopened'`,
      /an opportunity in the stage won cannot be open/,
      'an older release can no longer win one without closing it'
    )
    await t.rejects(
      sql`update opportunities set closed_at = null where title = 'right'`,
      /opportunities_closed_at_check/
    )
  }
)

t.test('a migration waits for other work a little at a time', async t => {
  const { url, sql } = await databaseOf(t, '0012_address_book')
  await sql`begin`
  await sql`lock table opportunities in row exclusive mode`
  const lines: string[] = []
  const migrated = migrate(url, line => lines.push(line))
  while (lines.length === 0) await sleep(50)
  t.same(lines, ['The migration waits for other work on the database.'])
  await sql`select from opportunities`
  await sql`commit`
  await migrated
  t.ok(await sql`select stage_position from opportunities`)
})

t.test('a migration that fails stops the start with one line', async t => {
  const { url, sql } = await emptyDatabase(t)
  await sql`create table contacts (id int)`
  const refused = await start(t, { DATABASE_URL: url, JWT_SECRET: 'x'.repeat(32) })
  t.same(
    [await refused.ended, refused.output()],
    [1, 'The database could not be migrated: relation "contacts" already exists\n']
  )
})

t.test('records that are older than the normal form of text are found by it', async t => {
  const { url, sql } = await databaseOf(t, '0006_hidden_columns')
  const app = await application(t)
  const hash = await app.services.passwords.hash('a quiet harbour 47')
  await sql`insert into organizations (name) values ('One')`
  await sql`insert into users (organization_id, username, email, password_hash, role)
    values (1, 'one', 'one@example.com', ${hash}, 'admin')`
  await sql`insert into contacts (organization_id, first_name, last_name, phone)
    values (1, '伟', '王', '(555) 123-4567')`
  await sql`insert into campaigns (organization_id, name) values (1, 'L’Aquila (UK)')`
  await migrate(url)

  const migrated = await application(t, { database_url: url })
  const call = caller(migrated, bearer((await login(migrated, 'one')).token))
  const found = async (list: string, q: string) =>
    (await call(`GET /api/${list}?q=${encodeURIComponent(q)}`)).json().data.length
  t.equal(await found('contacts', '王伟'), 1)
  t.equal(await found('contacts', '+15551234567'), 1)
  t.equal(await found('campaigns', 'laquila uk'), 1)
  t.match(
    (await call('GET /api/contacts/1/history')).json().data,
    [{ type: 'contact.created' }],
    'and the migration is no change of a record'
  )
  t.equal((await call('GET /api/contacts/1/history')).json().data.length, 1)
  const searched = await sql`select indexdef from pg_indexes where indexname like '%_search'`
  t.equal(searched.length, 6, 'each search has its index')
  for (const { indexdef } of searched)
    t.match(
      indexdef,
      /gin_trgm_ops.* WITH \(gin_pending_list_limit='?512'?\) WHERE \(deleted_at IS NULL\)/
    )
})

t.test('values of stored filters that have to be quoted now are quoted, and reported', async t => {
  const { url, sql, hash } = await earlierRelease(t, '0011_links_and_keys')
  await sql`insert into organizations (name) values ('One')`
  await sql`insert into users (organization_id, username, email, password_hash, role)
    values (1, 'one', 'one@example.com', ${hash}, 'admin')`
  await sql`insert into territories (organization_id, name, filter) values
    (1, 'spaced', 'state[in]=Paris,%20TX,+Rome&country=A'),
    (1, 'quoted', 'state%5Bin%5D=%22A%22,B'),
    (1, 'plain', 'state[in]=Paris,Rome'), (1, 'other', 'name[like]= x')`
  await sql`insert into assignment_rules (organization_id, name, resource, filter, user_id)
    values (1, 'rule', 'leads', 'source[in]=a, b', 1)`
  const rules = [
    { field: 'source', operator: 'in', value: 'a, "b"', points: 1 },
    { field: 'source', operator: 'eq', value: ' a', points: 1 }
  ]
  await sql`insert into scoring_models (organization_id, name, rules)
    values (1, 'model', ${sql.json(rules)})`
  const lines: string[] = []
  await migrate(url, line => lines.push(line))
  t.same(
    (await sql`select filter, version from territories order by id`).map(row => Object.values(row)),
    [
      ['state[in]=Paris,%22%20TX%22,%22+Rome%22&country=A', 2],
      ['state%5Bin%5D=%22%22%22A%22%22%22,B', 2],
      ['state[in]=Paris,Rome', 1],
      ['name[like]= x', 1]
    ]
  )
  const [rule] = await sql`select filter from assignment_rules`
  t.equal(rule!.filter, 'source[in]=a,%22 b%22')
  const [model] = await sql`select rules from scoring_models`
  t.same(model!.rules, [{ ...rules[0], value: 'a," ""b"""' }, rules[1]])
  t.equal(lines.length, 4, lines.join('; '))
  t.match(lines[0], 'The filter of territory 1 of organization 1 is now written as')

  const migrated = await application(t, { database_url: url })
  const call = caller(migrated, bearer((await login(migrated, 'one')).token))
  for (const id of [1, 2, 3])
    t.equal((await call(`GET /api/accounts?territory_id=${id}`)).statusCode, 200)
})

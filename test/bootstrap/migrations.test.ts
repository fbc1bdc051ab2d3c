// A database of an earlier release becomes one of this, with all that is in it.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { drizzle, migrate as apply } from '../../src/core/db/drizzle.ts'
import { migrate } from '../../src/bootstrap/migrations.ts'
import { application, bearer, caller, database, login } from '../support/app.ts'

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
  const url = await database(t)
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  await sql.unsafe(
    'drop schema public cascade; drop schema drizzle cascade; drop schema graphile_worker ' +
      'cascade; create schema public'
  )
  await migrateUpTo(url, tag)
  return { url, sql }
}

t.test('opportunities that are older than pipelines continue in the default one', async t => {
  const { url, sql } = await databaseOf(t, '0002_event_log')

  const app = await application(t)
  const hash = await app.services.passwords.hash('a quiet harbour 47')
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

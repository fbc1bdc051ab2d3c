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

/** A database as the migrations up to and with `tag` leave it, and the hash of a password. */
async function earlierRelease(t: Test, tag: string) {
  const url = await database(t)
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  await sql.unsafe(
    'drop schema public cascade; drop schema drizzle cascade; drop schema graphile_worker ' +
      'cascade; create schema public'
  )
  await migrateUpTo(url, tag)
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

// What is expected of a database, and what does not depend on it.
import { randomBytes } from 'node:crypto'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { migrate } from '../../src/bootstrap/migrations.ts'
import { application, database, databaseUrl, organization, settingsOf } from '../support/app.ts'
import { start } from '../support/process.ts'

/** Creates a database with these options, which is dropped after the test. Returns its URL. */
async function databaseWith(t: Test, options: string): Promise<string> {
  const name = `test_${randomBytes(6).toString('hex')}`
  const admin = postgres(databaseUrl('postgres'), { max: 1, onnotice: () => {} })
  await admin.unsafe(`create database ${name} template template0 ${options}`)
  t.teardown(async () => {
    await admin.unsafe(`drop database ${name} with (force)`)
    await admin.end()
  })
  return databaseUrl(name)
}

t.test('a database that cannot ignore case or hold all text is refused with one line', async t => {
  for (const [options, reason] of [
    [
      "locale_provider 'libc' locale 'C'",
      /^The database cannot ignore case outside of ASCII .*'C.UTF-8'$/
    ],
    [
      "locale_provider 'libc' locale 'C' encoding 'SQL_ASCII'",
      /^The database has the encoding SQL_ASCII: create it with ENCODING 'UTF8'$/
    ]
  ] as const) {
    const url = await databaseWith(t, options)
    await t.rejects(migrate(url), { message: reason })
    const refused = await start(t, settingsOf(url))
    t.equal(await refused.ended, 1)
    t.match(refused.output(), new RegExp(`${reason.source.replace('$', '')}\n$`))
  }
})

t.test('settings of the database change no response', async t => {
  const url = await database(t)
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  const [{ name } = { name: '' }] = await sql<{ name: string }[]>`select current_database() as name`
  for (const setting of [
    "DateStyle = 'German'",
    "TimeZone = 'Asia/Tokyo'",
    "IntervalStyle = 'iso_8601'",
    "bytea_output = 'escape'",
    'extra_float_digits = -10',
    'standard_conforming_strings = off',
    "default_transaction_isolation = 'serializable'"
  ])
    await sql.unsafe(`alter database ${name} set ${setting}`)
  const app = await application(t, { database_url: url })
  const { call } = await organization(app)
  const sale = { title: 'A\\B', amount: 1234567.89, close_date: '2026-02-01' }
  const created = await call('POST /api/opportunities', sale)
  t.match(created.json(), { ...sale, created_at: /^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$/ })
  const listed = await call('GET /api/opportunities?close_date[lte]=2026-02-01&count=exact')
  t.match(listed.json(), { data: [created.json()], total: 1 })
  t.equal((await call('GET /api/reports/forecast')).statusCode, 200)
})

import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import {
  application,
  caller,
  database,
  login,
  organization,
  ownerOf,
  settingsOf,
  work
} from '../../support/app.ts'
import { start } from '../../support/process.ts'
import { type Lead, rule, create, model } from './scoring.ts'

const app = await application(t)
const sql = app.services.database.pool

t.test('rescoring 5,000 leads reads an index in batches, and no writer waits for it', async t => {
  const { call, id: organization_id } = await organization(app)
  await sql`insert into contacts (organization_id, first_name, last_name, company)
      select ${organization_id}, 'A', 'B' || n, 'Company ' || n % 10
      from generate_series(1, 1000) n`
  await sql`insert into leads (organization_id, source, contact_id)
      select ${organization_id}, 'source ' || n % 7,
      (select min(id) from contacts where organization_id = ${organization_id}) + n % 1000
      from generate_series(1, 5000) n`
  await ownerOf(app)`vacuum analyze`
  const rules = Array.from({ length: 7 }, (_, i) => rule('source', 'eq', `source ${i}`, i + 1))
  const { id } = await model(call, [...rules, rule('contact.company', 'eq', 'Company 3', 100)])

  const sent: [string, unknown[]][] = []
  const begin = sql.begin.bind(sql)
  sql.begin = (async (work: (connection: typeof sql) => Promise<unknown>) =>
    await begin(async connection => {
      const real = connection.unsafe.bind(connection)
      connection.unsafe = ((text: string, values: never[], options: object) => {
        sent.push([text, values])
        return real(text, values, options)
      }) as typeof connection.unsafe
      return await work(connection as unknown as typeof sql)
    })) as unknown as typeof sql.begin
  let waited = 0
  const working = { on: true }
  const first = (await call('GET /api/leads?sort=id&limit=1')).json().data[0] as Lead
  const writer = (async () => {
    for (let i = 0; working.on; i++) {
      const began = performance.now()
      const answer = await call(`PATCH /api/leads/${first.id + ((i * 37) % 5000)}`, {
        source: `source ${i % 7}`
      })
      if (answer.statusCode !== 200) throw new Error(answer.body)
      waited = Math.max(waited, performance.now() - began)
    }
  })()
  try {
    await work(app)
    const [{ id: contact_id }] = (await call('GET /api/contacts?limit=1')).json().data
    await call(`PATCH /api/contacts/${contact_id}`, { company: 'Company 3' })
    await work(app)
  } finally {
    working.on = false
    await writer
  }
  sql.begin = begin
  const wrong =
    await sql`select l.id from leads l join contacts c on c.organization_id = l.organization_id
        and c.id = l.contact_id
    where l.organization_id = ${organization_id}
    and l.score <> right(l.source, 1)::int + 1 + case c.company when 'Company 3' then 100 else 0
    end`
  t.same(wrong, [])
  t.ok(waited < 1_000, `a writer waited at most ${Math.round(waited)} ms`)
  const plans = await Promise.all(
    sent
      .filter(([text]) => / as points/.test(text))
      .map(async ([text, values]) =>
        (await sql.unsafe(`explain ${text}`, values as never[]))
          .map(row => String(row['QUERY PLAN']))
          .join('\n')
      )
  )
  t.ok(plans.length > 10)
  for (const plan of new Set(plans)) t.notMatch(plan, /Seq Scan on leads/, plan)
  for (const plan of plans.filter(plan => plan.includes('contact_id = ANY')))
    t.match(plan, /idx_leads_contact_id/)
  await call(`PATCH /api/scoring-models/${id}`, { status: 'draft' })
  await work(app)
})

t.test('a process runs its own jobs and those of a killed process', async t => {
  const database_url = await database(t)
  const beside = await application(t, { database_url })
  const env = { ...settingsOf(database_url), ADMIN_PASSWORD: 'a quiet harbour 47' }
  const { child, ended, output } = await start(t, env)
  const { token } = await login(beside, 'admin@example.com', 'a quiet harbour 47')
  const call = caller(beside, { authorization: `Bearer ${token}` })
  const { id } = await create(call, '/api/leads', { source: 'website' })
  const { id: model_id } = await model(call, [rule('source', 'eq', 'website', 70)])
  const scoreNow = async () =>
    (await call(`GET /api/leads/${id}`, undefined, { 'cache-control': 'no-cache' })).json<Lead>()
      .score
  const becomes = async (score: number) => {
    const deadline = performance.now() + 40_000
    while (performance.now() < deadline && (await scoreNow()) !== score) await sleep(20)
    t.equal(await scoreNow(), score, output())
  }
  await becomes(70)
  child.kill('SIGTERM')
  t.equal(await ended, 0, output())

  await call(`PATCH /api/scoring-models/${model_id}`, {
    rules: [rule('source', 'eq', 'website', 71)]
  })
  await beside.services.database
    .pool`update graphile_worker._private_jobs set locked_at = now() - interval '2 minutes',
      locked_by = 'a killed worker', attempts = 1`
  await start(t, env)
  await becomes(71)
})

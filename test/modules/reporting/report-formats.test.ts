import t from 'tap'
import { application, organization, ownerOf } from '../../support/app.ts'
import { plansOf } from '../../support/plans.ts'
import { generateSales } from '../../support/sales-data.ts'
import { report, names } from './reports.ts'

const app = await application(t)
/** The cells of each line of a CSV without line breaks in its cells. */
const cellsOf = (csv: string) =>
  csv
    .trimEnd()
    .split('\r\n')
    .map(line =>
      [...`${line},`.matchAll(/("(?:[^"]|"")*"|[^,]*),/g)].map(([, cell = '']) =>
        cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell
      )
    )
const text = /(?:[^<>&]|&(?:amp|lt|gt|quot|#39);)+/
const tag = /<(\/?)([a-z]\w*)(?:\s+[\w:-]+="(?:[^<&"]|&(?:amp|lt|gt|quot|#39);)*")*\s*(\/?)>/
const style = /<style\s*><!\[CDATA\[.*?\]\]>\s*<\/style>/
/** Throws unless a text is a well-formed XML document of elements, attributes, text and a style. */
function assertXml(document: string): void {
  const open: string[] = []
  const rest = document.replaceAll(
    new RegExp(`${style.source}|${tag.source}|${text.source}`, 'gs'),
    (_, end: string, name: string | undefined, empty: string) => {
      if (name === undefined || empty) return ''
      if (!end) open.push(name)
      else if (open.pop() !== name) throw new Error(`</${name}> has no opening tag`)
      return ''
    }
  )
  if (rest !== '' || open.length > 0)
    throw new Error(`not XML: ${rest.slice(0, 200)} ${open.join()}`)
  if (/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u.test(document))
    throw new Error('no control characters')
}
/** What an object is enumerated with besides its own. */
function inheritedBy(value: object): string[] {
  const names: string[] = []
  for (const name in value) if (!Object.hasOwn(value, name)) names.push(name)
  return names
}

t.test(
  'every report is also available as CSV and as a chart, whatever users have typed',
  async t => {
    const tenant = await organization(app)
    const { call } = tenant
    await generateSales(app, tenant, 7, 60)
    const evil = '<script>alert(1)</script> & "x" \u0001\u001b {b|c}'
    const { id: assigned_to } = (
      await call('POST /api/users', {
        username: evil,
        email: 'evil@example.com',
        password: 'a quiet harbour 47'
      })
    ).json()
    const [stage] = (await call('GET /api/stages?key=proposal&sort=id')).json().data
    t.equal((await call(`PATCH /api/stages/${stage.id}`, { name: evil })).statusCode, 200)
    await call('POST /api/opportunities', {
      title: 'Sale',
      stage: 'proposal',
      amount: 9_999_999,
      assigned_to,
      close_date: '9999-12-31'
    })
    await call('POST /api/leads', { source: evil.slice(0, 50), assigned_to })
    await call('POST /api/activities', { type: 'call', subject: 'Talk', assigned_to })

    for (const name of names) {
      const { data } = await report(call, name)
      const csv = await call(`GET /api/reports/${name}`, undefined, { accept: 'text/csv' })
      t.same(
        cellsOf(csv.body),
        [
          Object.keys(data[0]!),
          ...data.map(row => Object.values(row).map(value => String(value ?? '')))
        ],
        `${name} as CSV equals the JSON`
      )

      const chart = await call(`GET /api/reports/${name}`, undefined, { accept: 'image/svg+xml' })
      t.match(
        [chart.headers['content-type'], chart.headers['x-content-type-options']],
        [/^image\/svg\+xml/, 'nosniff']
      )
      t.equal(
        chart.headers['content-security-policy'],
        "default-src 'none'; style-src 'unsafe-inline'"
      )
      t.doesNotThrow(() => {
        assertXml(chart.body)
      }, name)
      t.notMatch(
        chart.body,
        /<script|<foreignObject|<a |<image|\son\w+=|href=|@import/i,
        `${name} executes and loads nothing`
      )
    }
    const inherited = Object.getOwnPropertyNames(Object.prototype)
    for (const source of inherited.flatMap(name => [name, `${name}\n${name}`, `__proto__${name}`]))
      await call('POST /api/leads', { source: source.slice(0, 50) })
    await call('GET /api/reports/sources', undefined, { accept: 'image/svg+xml' })
    t.same([inheritedBy({}), inheritedBy(() => {})], [[], []], 'no name changes a prototype')
    const chart = await call('GET /api/reports/pipeline', undefined, { accept: 'image/svg+xml' })
    t.match(chart.body, '&lt;script&gt;alert(1)&lt;/script&gt;', 'the name is shown as typed')
    t.match(
      (
        await call('GET /api/reports/pipeline?title=nothing', undefined, {
          accept: 'image/svg+xml'
        })
      ).body,
      /^<svg/,
      'also without data'
    )
  }
)

t.test(
  'a chart labels unassigned rows, has every month, and states when it has no data',
  async t => {
    const { call } = await organization(app)
    const chart = async (path: string) =>
      (await call(`GET /api/reports/${path}`, undefined, { accept: 'image/svg+xml' })).body
    for (const name of names) t.match(await chart(name), 'No data', name)
    for (const close_date of ['2026-11-30', '2027-02-01', null])
      await call('POST /api/opportunities', { title: 'Sale', amount: 10, close_date })
    await call('POST /api/leads', {})
    await call('POST /api/activities', { type: 'call', subject: 'Talk' })
    const texts = {
      pipeline: ['Unassigned'],
      forecast: ['2026-11', '2026-12', '2027-01', '2027-02', 'No date'],
      funnel: ['Won'],
      sources: ['No source'],
      activity: ['Unassigned']
    }
    for (const [name, expected] of Object.entries(texts)) {
      const body = await chart(name)
      t.same(body.match(new RegExp(`(?<=>)(${expected.join('|')})(?=<)`, 'g')), expected, name)
      t.notMatch(body, 'No data', name)
    }
    await call('POST /api/opportunities', { title: 'Sale', amount: 10, close_date: '9999-12-31' })
    t.match(await chart('forecast'), /2027-02[^]+9999-12[^]+No date/, 'but not for many years')
  }
)

t.test('every report reads an index', async t => {
  const tenants = await Promise.all([1, 2, 3, 4].map(async () => await organization(app)))
  const sql = app.services.database.pool
  await sql.begin(async sql => {
    await sql`set local statement_timeout = '120s'`
    for (const { id } of tenants) {
      await sql`insert into leads (organization_id, source, status, created_at)
        select ${id}, 'source ' || n % 20,
          (array['new', 'contacted', 'qualified', 'unqualified', 'converted'])[1 + n % 5],
          timestamptz '2026-01-01' + n * interval '1 hour' from generate_series(1, 5000) n`
      await sql`insert into opportunities
        (organization_id, pipeline_id, title, amount, probability, close_date, stage, status,
        closed_at, lead_id, created_at)
        select ${id}, (select id from pipelines where organization_id = ${id}),
          'The sale of many things ' || n, n / 100.0, n % 101, date '2026-01-01' + n % 700,
          (array['prospecting', 'proposal', 'won', 'lost'])[1 + n % 4],
          (array['open', 'open', 'won', 'lost'])[1 + n % 4],
          (array[null, null, now(), now()])[1 + n % 4],
          (select min(id) from leads where organization_id = ${id}) + n - 1,
          timestamptz '2026-01-01' + n * interval '1 hour' from generate_series(1, 5000) n`
      await sql`insert into activities
        (organization_id, type, subject, status, duration_minutes, created_at)
        select ${id}, (array['call', 'email', 'task'])[1 + n % 3],
          'A long talk about many things ' || n, (array['planned', 'completed'])[1 + n % 2], n % 60,
          timestamptz '2026-01-01' + n * interval '1 hour' from generate_series(1, 5000) n`
      await sql`insert into moves (organization_id, subject_type, subject_id, from_stage, to_stage,
        moved_at, seconds)
        select ${id}, 'lead', id, 'new', 'qualified', moved_at, id % 1000 from leads
          where organization_id = ${id}`
    }
  })
  await ownerOf(app)`vacuum analyze`
  for (const name of names) {
    for (const query of ['', 'created_at[gte]=2026-11-01', 'assigned_to[null]=true&tags[any]=1']) {
      for (const plan of await plansOf(app, () =>
        tenants[0]!.call(`GET /api/reports/${name}?${query}`)
      )) {
        t.notMatch(plan, /Seq Scan on (leads|opportunities|activities|moves)/, `${name}?${query}`)
      }
    }
  }
})

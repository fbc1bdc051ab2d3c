// The first numbers: every cell equals what a generator knows, and the list it names adds up to it,
// to the cent.
import t from 'tap'
import { application, organization, type Call } from '../../support/app.ts'
import { plansOf } from '../../support/plans.ts'
import { truth } from '../../support/truth.ts'
import { walk, type Activity, type Lead, type Opportunity } from '../../support/walk.ts'

type Cell = string | number | null | undefined
interface Row {
  list: string
  filter: string
  count: number
  amount?: number | null
  weighted?: number
  minutes?: number
  [field: string]: Cell
}
interface Report {
  report: string
  data: Row[]
  totals: Row[]
  truncated: boolean
}
type Stored = Record<'amount' | 'probability' | 'duration_minutes', number | null>

const app = await application(t)
const report = async (call: Call, path: string): Promise<Report> => {
  const answer = await call(`GET /api/reports/${path}`)
  if (answer.statusCode !== 200) throw new Error(`${path}: ${answer.body}`)
  return answer.json()
}

/** Rows as texts that can be compared, whatever the order of the rows and of their fields. */
const numbers = (rows: Row[]) =>
  rows
    .map(({ list: _l, filter: _f, ...row }) => JSON.stringify(row, Object.keys(row).toSorted()))
    .toSorted()
const expected = (rows: object[]) => numbers(rows as Row[])

/** The whole list of a cell, page by page. */
async function listed(call: Call, { list, filter }: Row): Promise<Stored[]> {
  const rows: Stored[] = []
  for (let cursor = ''; ;) {
    const answer = await call(`GET ${list}?${filter}&limit=100${cursor}`)
    if (answer.statusCode !== 200) throw new Error(`${list}?${filter}: ${answer.body}`)
    const page = answer.json<{ data: Stored[]; next_cursor: string | null }>()
    rows.push(...page.data)
    if (page.next_cursor === null) return rows
    cursor = `&cursor=${page.next_cursor}`
  }
}

const cents = (amount: number | null) => Math.round((amount ?? 0) * 100)
const sum = (values: number[]) => values.reduce((a, b) => a + b, 0)

/** The numbers of a row as its list says them. */
function addedUp(row: Row, rows: Stored[]) {
  return {
    count: rows.length,
    ...(typeof row.amount === 'number' && {
      amount: sum(rows.map(({ amount }) => cents(amount))) / 100
    }),
    ...(typeof row.weighted === 'number' && {
      weighted:
        Math.round(sum(rows.map(({ amount, probability }) => cents(amount) * probability!)) / 100) /
        100
    }),
    ...(typeof row.minutes === 'number' && {
      minutes: sum(rows.map(({ duration_minutes }) => duration_minutes ?? 0))
    })
  }
}

const names = ['pipeline', 'forecast', 'funnel', 'sources', 'activity']
t.test('every report equals the expected one, and every cell the list that it names', async t => {
  const worlds = await Promise.all(
    [1, 2, 3].map(async seed => {
      const tenant = await organization(app)
      return { seed, call: tenant.call, world: await walk(app, tenant, seed, 150 + 70 * seed) }
    })
  )

  for (const { seed, call, world } of worlds) {
    const {
      pipelines: [first, second],
      tags: [hot, cold],
      owners
    } = world
    const owner = owners[1]!.id
    const since = '2026-04-01',
      until = '2026-08-01T12:00:00Z'
    const inCohort = ({ created_at }: { created_at: string }) =>
      created_at >= since && created_at < '2026-08-01T12:00:00.000Z'
    const cohort = `created_at[gte]=${since}&created_at[lt]=${until}`
    const at = (opportunity: Opportunity) => opportunity.way.at(-1)!.at
    const everything = () => true
    const closes = (close_date: string | null, from: string, to: string) =>
      close_date !== null && close_date >= from && close_date <= to
    interface Question<W> {
      query: string
      holds: (walker: W) => boolean
    }
    const check = async (path: string, { data, totals }: { data: object[]; totals: object[] }) => {
      await t.test(`seed ${seed}: ${path}`, async t => {
        const found = await report(call, path)
        t.same(numbers(found.data), expected(data))
        t.same(numbers(found.totals), expected(totals))
        t.equal(found.truncated, false)
        for (const row of [...found.data, ...found.totals])
          t.match(row, addedUp(row, await listed(call, row)), `${row.list}?${row.filter}`)
      })
    }

    const ofOpportunities: Question<Opportunity>[] = [
      { query: '', holds: everything },
      { query: cohort, holds: inCohort },
      { query: `assigned_to=${owner}`, holds: ({ assigned_to }) => assigned_to === owner },
      {
        query: 'assigned_to[null]=true&amount[gte]=50000.5',
        holds: ({ assigned_to, cents }) =>
          assigned_to === null && cents !== null && cents >= 5_000_050
      },
      {
        query: `tags[any]=${hot},${cold}&status=open`,
        holds: opportunity => opportunity.tags.length > 0 && at(opportunity).kind === 'open'
      },
      {
        query: 'stage[in]=proposal,won&title[like]=SALE',
        holds: opportunity => ['proposal', 'won'].includes(at(opportunity).key)
      },
      {
        query: 'close_date[gte]=2026-05-12&close_date[lte]=2026-07-20',
        holds: ({ close_date }) => closes(close_date, '2026-05-12', '2026-07-20')
      },
      {
        query: 'close_date[lt]=2026-05-12&lead_source=website',
        holds: ({ close_date, lead }) =>
          closes(close_date, '', '2026-05-11') && lead?.source === 'website' && !lead.gone
      },
      {
        query: 'close_date[null]=true&entered_stage=proposal',
        holds: ({ close_date, way }) =>
          close_date === null && way.some(({ at }) => at.key === 'proposal')
      }
    ]
    for (const { query, holds } of ofOpportunities) {
      const found = world.opportunities.filter(holds)
      await check(`forecast?${query}`, truth.forecast(world, found))
      await check(
        `pipeline?${query}`,
        truth.pipeline(
          world,
          found.filter(opportunity => at(opportunity).pipeline_id === first)
        )
      )
    }
    await check(
      `pipeline?pipeline_id=${second}`,
      truth.pipeline(
        world,
        world.opportunities.filter(opportunity => at(opportunity).pipeline_id === second)
      )
    )
    await check(
      `pipeline?pipeline_id[in]=${first},${second}`,
      truth.pipeline(world, world.opportunities)
    )

    const ofBoth: Question<Lead | Opportunity>[] = [
      { query: '', holds: everything },
      { query: cohort, holds: inCohort },
      {
        query: `assigned_to[in]=${owner}&tags[all]=${hot}`,
        holds: ({ assigned_to, tags }) => assigned_to === owner && tags.includes(hot)
      },
      { query: 'created_at[gte]=2030-01-01', holds: () => false }
    ]
    for (const { query, holds } of ofBoth) {
      const [foundLeads, found] = [world.leads.filter(holds), world.opportunities.filter(holds)]
      await check(`sources?${query}`, truth.sources(world, foundLeads, found))
      await check(`funnel?${query}`, truth.funnel(world, foundLeads, found, first))
      await check(
        `funnel?${query}&pipeline_id=${second}`,
        truth.funnel(world, foundLeads, found, second)
      )
    }

    const ofActivities: Question<Activity>[] = [
      { query: '', holds: everything },
      {
        query: `${cohort}&type[in]=call,note`,
        holds: activity => inCohort(activity) && ['call', 'note'].includes(activity.type)
      },
      {
        query: `assigned_to[null]=true&tags[any]=${cold}`,
        holds: ({ assigned_to, tags }) => assigned_to === null && tags.includes(cold)
      }
    ]
    for (const { query, holds } of ofActivities)
      await check(`activity?${query}`, truth.activity(world, world.activities.filter(holds)))
  }
})

t.test('rows are in the order of stages, then of names', async t => {
  const { call, admin, user } = await organization(app)
  const { user: second } = await user('user')
  const made = [
    ['proposal', admin.user.id],
    ['prospecting', null],
    ['prospecting', second.id],
    ['prospecting', admin.user.id],
    ['negotiation', null]
  ]
  for (const [stage, assigned_to] of made) {
    t.equal(
      (await call('POST /api/opportunities', { title: 'Sale', stage, assigned_to, amount: 0.1 }))
        .statusCode,
      201
    )
  }
  const { data, totals } = await report(call, 'pipeline')
  const owners = [admin.user.username, second.username].toSorted()
  t.same(
    data.map(({ stage, assigned_to_name }) => [stage, assigned_to_name]),
    [
      ...owners.map(name => ['prospecting', name]),
      ['prospecting', null],
      ['proposal', admin.user.username],
      ['negotiation', null]
    ]
  )
  t.match(
    totals,
    [
      { status: null, count: 5, amount: 0.5 },
      { status: 'open', count: 5, amount: 0.5 }
    ],
    'and 0.1 five times is 0.5'
  )
})

t.test('the funnel ends with won opportunities, whatever stages follow', async t => {
  const { call } = await organization(app)
  const [pipeline] = (await call('GET /api/pipelines')).json().data
  t.equal(
    (
      await call('POST /api/stages', {
        pipeline_id: pipeline.id,
        key: 'signing',
        name: 'Signing',
        probability: 90,
        position: 9
      })
    ).statusCode,
    201
  )
  const { data } = await report(call, 'funnel')
  t.same(
    data
      .filter(({ list, measure }) => list === '/api/opportunities' && measure === 'entered')
      .map(({ step }) => step),
    ['prospecting', 'qualification', 'proposal', 'negotiation', 'signing', 'won']
  )
})

t.test(
  'other organizations and unknown pipelines have empty reports; everybody may read',
  async t => {
    const { call, user } = await organization(app)
    const stranger = await organization(app)
    await call('POST /api/leads', { source: 'website' })
    await call('POST /api/opportunities', { title: 'Sale', amount: 10 })
    await call('POST /api/activities', { type: 'call', subject: 'Talk' })
    const viewer = await user('viewer')
    const [pipeline] = (await call('GET /api/pipelines')).json().data
    for (const name of names) {
      t.ok(
        (await report(viewer.call, name)).totals.some(({ count }) => count === 1),
        name
      )
      const { data, totals } = await report(stranger.call, name)
      t.same(
        [...data, ...totals].filter(({ count }) => count > 0),
        [],
        name
      )
    }
    for (const id of [pipeline.id, 999_999]) {
      t.same((await report(stranger.call, `pipeline?pipeline_id=${id}`)).data, [])
      t.match((await stranger.call(`GET /api/reports/funnel?pipeline_id=${id}`)).json(), {
        status: 400,
        errors: [{ parameter: 'pipeline_id' }]
      })
    }
  }
)

t.test('invalid parameters are refused', async t => {
  const { call } = await organization(app)
  const nonsense = [
    'pipeline?nonsense=1',
    'pipeline?limit=5',
    'forecast?close_date[gte]=soon',
    'funnel?created_at=yesterday',
    'funnel?stage=won',
    'sources?source=website',
    'activity?type=dance'
  ]
  for (const path of nonsense) {
    t.equal((await call(`GET /api/reports/${path}`)).statusCode, 400, path)
  }
  t.equal(
    (await call('GET /api/reports/pipeline', undefined, { accept: 'application/pdf' })).statusCode,
    406
  )
  t.equal((await call('GET /api/reports/nonsense')).statusCode, 404)
  t.equal((await app.inject('/api/reports/pipeline')).statusCode, 401)
})

t.test(
  'a report with too many rows is truncated and says so, with complete totals',
  async t => {
    const { call, id: organization_id } = await organization(app)
    await app.services.database
      .pool`insert into leads (organization_id, source) select ${organization_id}, 'source ' || n
        from generate_series(1, 400) n`
    const { data, totals, truncated } = await report(call, 'sources')
    t.same([data.length + totals.length, truncated], [1000, true])
    t.match(
      totals.find(({ measure }) => measure === 'leads'),
      { count: 400 }
    )
  }
)

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
      else if (open.pop() !== name) throw new Error(`</${name}> closes nothing`)
      return ''
    }
  )
  if (rest !== '' || open.length > 0)
    throw new Error(`not XML: ${rest.slice(0, 200)} ${open.join()}`)
  if (/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u.test(document))
    throw new Error('XML knows no control characters')
}

/** What an object is enumerated with besides its own. */
function inheritedBy(value: object): string[] {
  const names: string[] = []
  for (const name in value) if (!Object.hasOwn(value, name)) names.push(name)
  return names
}

t.test('every report is also available as CSV and as a chart, whatever users have typed', async t => {
  const tenant = await organization(app)
  const { call } = tenant
  await walk(app, tenant, 7, 60)
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
      `${name} as CSV is what it is as JSON`
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
      `${name} runs and fetches nothing`
    )
  }
  const inherited = Object.getOwnPropertyNames(Object.prototype)
  for (const source of inherited.flatMap(name => [name, `${name}\n${name}`, `__proto__${name}`]))
    await call('POST /api/leads', { source: source.slice(0, 50) })
  await call('GET /api/reports/sources', undefined, { accept: 'image/svg+xml' })
  t.same([inheritedBy({}), inheritedBy(() => {})], [[], []], 'and no name changes the process')
  const chart = await call('GET /api/reports/pipeline', undefined, { accept: 'image/svg+xml' })
  t.match(chart.body, '&lt;script&gt;alert(1)&lt;/script&gt;', 'the name is shown as it was typed')
  t.match(
    (await call('GET /api/reports/pipeline?title=nothing', undefined, { accept: 'image/svg+xml' }))
      .body,
    /^<svg/,
    'also of nothing'
  )
})

t.test(
  'a chart labels unassigned rows, has every month, and states when it has no data',
  async t => {
    const { call } = await organization(app)
    const chart = async (path: string) =>
      (await call(`GET /api/reports/${path}`, undefined, { accept: 'image/svg+xml' })).body
    for (const name of names) t.match(await chart(name), 'Nothing to show', name)
    for (const close_date of ['2026-11-30', '2027-02-01', null])
      await call('POST /api/opportunities', { title: 'Sale', amount: 10, close_date })
    await call('POST /api/leads', {})
    await call('POST /api/activities', { type: 'call', subject: 'Talk' })
    const told = {
      pipeline: ['nobody'],
      forecast: ['2026-11', '2026-12', '2027-01', '2027-02', 'no date'],
      funnel: ['Won'],
      sources: ['no source'],
      activity: ['nobody']
    }
    for (const [name, texts] of Object.entries(told)) {
      const body = await chart(name)
      t.same(body.match(new RegExp(`(?<=>)(${texts.join('|')})(?=<)`, 'g')), texts, name)
      t.notMatch(body, 'Nothing to show', name)
    }
    await call('POST /api/opportunities', { title: 'Sale', amount: 10, close_date: '9999-12-31' })
    t.match(await chart('forecast'), /2027-02[^]+9999-12[^]+no date/, 'but not those of many years')
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
        lead_id, created_at)
        select ${id}, (select id from pipelines where organization_id = ${id}),
          'The sale of many things ' || n, n / 100.0, n % 101, date '2026-01-01' + n % 700,
          (array['prospecting', 'proposal', 'won', 'lost'])[1 + n % 4],
          (array['open', 'open', 'won', 'lost'])[1 + n % 4],
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
  await sql`vacuum analyze`
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

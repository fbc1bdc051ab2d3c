import t from 'tap'
import { application, organization } from '../../support/app.ts'
import { dayOf, expectedReports } from '../../support/expected-reports.ts'
import {
  generateSales,
  type Activity,
  type Lead,
  type Opportunity
} from '../../support/sales-data.ts'
import { addedUp, listed, names, report, type Row } from './reports.ts'

const app = await application(t)
/** Rows as texts that can be compared, whatever the order of the rows and of their fields. */
const numbers = (rows: Row[]) =>
  rows
    .map(({ list: _l, filter: _f, ...row }) => JSON.stringify(row, Object.keys(row).toSorted()))
    .toSorted()
const expected = (rows: object[]) => numbers(rows as Row[])
t.test('every report equals the expected one, and every cell the list that it names', async t => {
  const organizations = await Promise.all(
    [1, 2, 3].map(async seed => {
      const tenant = await organization(app)
      return {
        seed,
        call: tenant.call,
        data: await generateSales(app, tenant, seed, 150 + 70 * seed)
      }
    })
  )

  for (const { seed, call, data } of organizations) {
    const {
      pipelines: [first, second],
      tags: [firstTag, secondTag],
      owners
    } = data
    const owner = owners[1]!.id
    const since = '2026-04-01',
      until = '2026-08-01T12:00:00Z'
    const inCohort = ({ created_at }: { created_at: string }) =>
      created_at >= since && created_at < '2026-08-01T12:00:00.000Z'
    const cohort = `created_at[gte]=${since}&created_at[lt]=${until}`
    const at = (opportunity: Opportunity) => opportunity.transitions.at(-1)!.at
    const everything = () => true
    const closes = (close_date: string | null, from: string, to: string) =>
      close_date !== null && close_date >= from && close_date <= to
    const isClosedWithin = ({ transitions }: Opportunity, from: string, to: string) => {
      const { at, moved_at } = transitions.at(-1)!
      return at.kind !== 'open' && moved_at >= from && moved_at <= to
    }
    interface Question<W> {
      query: string
      holds: (generated: W) => boolean
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
        query: `tags[any]=${firstTag},${secondTag}&status=open`,
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
          closes(close_date, '', '2026-05-11') && lead?.source === 'website'
      },
      {
        query: 'closed_at[gte]=2026-05-12T10:00:00%2B02:00&closed_at[lte]=2026-07-20',
        holds: opportunity => isClosedWithin(opportunity, '2026-05-12T08', '2026-07-21')
      },
      {
        query: 'closed_at[gte]=2026-05-12&closed_at[lte]=2026-07-20T23:00:00Z&status=won',
        holds: opportunity =>
          at(opportunity).kind === 'won' &&
          isClosedWithin(opportunity, '2026-05-12', '2026-07-20T23:00:00.000Z')
      },
      {
        query: 'close_date[null]=true&entered_stage=proposal',
        holds: ({ close_date, transitions }) =>
          close_date === null && transitions.some(({ at }) => at.key === 'proposal')
      }
    ]
    for (const { query, holds } of ofOpportunities) {
      const found = data.opportunities.filter(holds)
      await check(`forecast?${query}`, expectedReports.forecast(data, found))
      await check(
        `pipeline?${query}`,
        expectedReports.pipeline(
          data,
          found.filter(opportunity => at(opportunity).pipeline_id === first)
        )
      )
    }
    const isIn = (opportunity: Opportunity, from: string, to: string) => {
      const month = dayOf(opportunity)?.slice(0, 7)
      return month !== undefined && month >= from && month <= to
    }
    for (const { query, holds } of [
      { query: 'month[gte]=2026-05&month[lte]=2026-07', holds: everything },
      {
        query: 'month[gte]=2026-05&closed_at[gte]=2026-05-20T12:00:00Z&month[lte]=9999-12',
        holds: (opportunity: Opportunity) =>
          isClosedWithin(opportunity, '2026-05-20T12:00:00.000Z', '9')
      }
    ])
      await check(
        `forecast?${query}`,
        expectedReports.forecast(
          data,
          data.opportunities
            .filter(holds)
            .filter(one => isIn(one, '2026-05', query.includes('2026-07') ? '2026-07' : '9'))
        )
      )
    await check(
      `pipeline?pipeline_id=${second}`,
      expectedReports.pipeline(
        data,
        data.opportunities.filter(opportunity => at(opportunity).pipeline_id === second)
      )
    )
    await check(
      `pipeline?pipeline_id[in]=${first},${second}`,
      expectedReports.pipeline(data, data.opportunities)
    )

    const ofBoth: Question<Lead | Opportunity>[] = [
      { query: '', holds: everything },
      { query: cohort, holds: inCohort },
      {
        query: `assigned_to[in]=${owner}&tags[all]=${firstTag}`,
        holds: ({ assigned_to, tags }) => assigned_to === owner && tags.includes(firstTag)
      },
      { query: 'created_at[gte]=2030-01-01', holds: () => false }
    ]
    for (const { query, holds } of ofBoth) {
      const [foundLeads, found] = [data.leads.filter(holds), data.opportunities.filter(holds)]
      await check(`sources?${query}`, expectedReports.sources(data, foundLeads, found))
      await check(`funnel?${query}`, expectedReports.funnel(data, foundLeads, found, first))
      await check(
        `funnel?${query}&pipeline_id=${second}`,
        expectedReports.funnel(data, foundLeads, found, second)
      )
    }

    const ofActivities: Question<Activity>[] = [
      { query: '', holds: everything },
      {
        query: `${cohort}&type[in]=call,note`,
        holds: activity => inCohort(activity) && ['call', 'note'].includes(activity.type)
      },
      {
        query: `assigned_to[null]=true&tags[any]=${secondTag}`,
        holds: ({ assigned_to, tags }) => assigned_to === null && tags.includes(secondTag)
      }
    ]
    for (const { query, holds } of ofActivities)
      await check(
        `activity?${query}`,
        expectedReports.activity(data, data.activities.filter(holds))
      )
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
    '0.1 five times is 0.5'
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
    const other = await organization(app)
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
      const { data, totals } = await report(other.call, name)
      t.same(
        [...data, ...totals].filter(({ count }) => count > 0),
        [],
        name
      )
    }
    for (const id of [pipeline.id, 999_999]) {
      t.same((await report(other.call, `pipeline?pipeline_id=${id}`)).data, [])
      t.match((await other.call(`GET /api/reports/funnel?pipeline_id=${id}`)).json(), {
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
    'forecast?month[gte]=2026-13',
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

t.test('a report with too many rows is truncated and says so, with complete totals', async t => {
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
})

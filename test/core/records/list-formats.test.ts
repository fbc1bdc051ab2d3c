import t from 'tap'
import { application, organization } from '../../support/app.ts'
import { documentOf } from '../../support/document.ts'
import { analyze, plansOf as plansOfWork } from '../../support/plans.ts'
import { type Row } from './lists.ts'

const app = await application(t)

t.test('CSV and NDJSON', async t => {
  const { call } = await organization(app)
  const rows = [
    ['=1+1', 'a,b'],
    ['+x', 'say "hi"'],
    ['-x', 'two\nlines'],
    ['@x', 'plain']
  ]
  for (const [first_name, last_name] of rows)
    await call('POST /api/contacts', { first_name, last_name })
  const csv = await call('GET /api/contacts?sort=id&fields=first_name,last_name', undefined, {
    accept: 'text/csv'
  })
  t.match(csv.headers['content-type'], /^text\/csv/)
  t.equal(
    csv.body,

    'first_name,last_name\r\n\'=1+1,"a,b"\r\n\'+x,"say ' +
      '""hi"""\r\n\'-x,"two\nlines"\r\n\'@x,plain\r\n',
    'cells that a spreadsheet would run are escaped'
  )
  await call('POST /api/contacts', { first_name: 'P', last_name: 'P', phone: '+1 (234) 567-890' })
  t.match(
    (await call('GET /api/contacts?first_name=P&fields=phone', undefined, { accept: 'text/csv' }))
      .body,
    'phone\r\n+1 (234) 567-890\r\n',
    'a phone number is not one of them'
  )
  const ndjson = await call('GET /api/contacts?sort=id', undefined, {
    accept: 'application/x-ndjson'
  })
  t.same(
    ndjson.body
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as Row),
    (await call('GET /api/contacts?sort=id')).json().data
  )
  const page = await call('GET /api/contacts?sort=id&limit=2&fields=id', undefined, {
    accept: 'text/csv'
  })
  t.match(
    [page.body.trim().split('\r\n').length, page.headers.link],
    [3, /rel="next"/],
    'with a limit it is one page'
  )
  t.equal(
    (await call('GET /api/contacts?last_name=nobody', undefined, { accept: 'text/csv' })).body
      .split('\r\n')[0]
      ?.slice(0, 13),
    'id,first_name',
    'an empty list has a header'
  )
  t.equal((await call('GET /api/contacts', undefined, { accept: 'image/png' })).statusCode, 406)
  t.match(
    (await call('GET /api/contacts', undefined, { accept: 'text/html,*/*;q=0.8' })).headers[
      'content-type'
    ],
    /json/
  )
  t.match(
    (await call('GET /api/contacts', undefined, { accept: 'text/csv;q=0.5, application/json' }))
      .headers['content-type'],
    /json/
  )
})

t.test('CSV has no related records, and does not read them', async t => {
  const { call } = await organization(app)
  const { id: account_id } = (await call('POST /api/accounts', { name: 'Corp' })).json()
  await call('POST /api/contacts', { first_name: 'A', last_name: 'B', account_id })
  for (const page of ['', '&limit=1']) {
    const reads = async (accept: string) =>
      await plansOfWork(
        app,
        () =>
          call(`GET /api/contacts?fields=last_name&include=account${page}`, undefined, { accept }),
        [app.services.database.point]
      )
    t.same(await reads('text/csv'), [], `CSV${page}`)
    t.equal((await reads('application/x-ndjson')).length, 1, `NDJSON has them${page}`)
  }
})

t.test('on 20,000 rows', async t => {
  const { call, id: organization_id } = await organization(app)
  const sql = app.services.database.pool
  const many = 20_000
  await sql.begin(async sql => {
    await sql`set local statement_timeout = '120s'`
    await sql`insert into accounts (organization_id, name, industry, city, country, annual_revenue,
      employee_count)
      select ${organization_id}, 'Account ' || n, 'Industry ' || n % 50, 'City ' || n % 500,
        'Country ' || n % 100, n, n from generate_series(1, ${many}::int) n`
    await sql`insert into contacts (organization_id, first_name, last_name, email, phone, company,
      account_id)
      select ${organization_id}, 'First' || n % 100, 'Last' || n, 'mail' || n || '@example.com',
        '+' || n, 'Company ' || n % 2000,
        (select min(id) from accounts where organization_id = ${organization_id}) + n % 1000
        from generate_series(1, ${many}::int) n`
    await sql`insert into leads (organization_id, source, score, contact_id)
      select ${organization_id}, 'source ' || n % 300, n % 1000,
        (select min(id) from contacts where organization_id = ${organization_id}) + n % 5000
        from generate_series(1, ${many}::int) n`
    await sql`insert into opportunities
      (organization_id, pipeline_id, title, amount, close_date, probability)
      select ${organization_id}, (select id from pipelines
        where organization_id = ${organization_id}), 'Sale ' || n, case when n % 3 > 0 then n end,
        date '2020-01-01' + n % 2000, n % 101 from generate_series(1, ${many}::int) n`
    await sql`insert into activities (organization_id, type, subject, due_at, duration_minutes)
      select ${organization_id}, (array['call', 'email', 'meeting', 'task', 'note'])[1 + n % 5],
        'Activity ' || n, timestamptz '2020-01-01' + n * interval '1 hour', n % 90
        from generate_series(1, ${many}::int) n`
  })
  await analyze(app)

  const plansOf = async (url: string) =>
    await plansOfWork(app, async () => await call(`GET ${url}`))

  for (const resource of ['contacts', 'accounts', 'leads', 'opportunities', 'activities']) {
    const parameters = documentOf(app).paths[`/api/${resource}`]!.get!.parameters!
    const sampleOf = async (resource: string) =>
      (await call(`GET /api/${resource}?limit=1&sort=id`)).json().data[0] as Row
    const contact = Object.entries(await sampleOf('contacts'))
    const sample: Record<string, Row[string]> = {
      ...(await sampleOf(resource)),
      ...Object.fromEntries(contact.map(([field, value]) => [`contact.${field}`, value]))
    }
    const sorts = /of (.*?);/
      .exec(
        documentOf(app).paths[`/api/${resource}`]!.get!.parameters!.find(
          ({ name }) => name === 'sort'
        )!.description
      )![1]!
      .split(', ')

    await t.test(`${resource}: every declared filter uses an index`, async t => {
      for (const { name } of parameters) {
        const [, field = '', operator = 'eq'] = /^([\w.]+)(?:\[(\w+)\])?$/.exec(name)!
        if (!(field in sample) || operator === 'like') continue
        const values = parameters.find(parameter => parameter.name === field)?.schema.enum
        const isList = operator === 'any' || operator === 'all'
        const other = /date|_at/.test(field) ? '2026-01-01' : 1
        const present = values?.[0] ?? (isList ? 1 : sample[field]) ?? other
        const value = operator === 'null' ? 'true' : present
        for (const plan of await plansOf(
          `/api/${resource}?${name}=${encodeURIComponent(String(value))}`
        ))
          t.notMatch(plan, /Seq Scan/, `${name}=${value}`)
      }
    })

    await t.test(
      `${resource}: every declared sort reads an index, on the first page and on a deep one`,
      async t => {
        for (const sort of sorts.flatMap(field => [field, `-${field}`])) {
          const url = `/api/${resource}?sort=${sort}&limit=100`
          let cursor = ''
          for (let page = 0; page < 3; page++)
            cursor = `&cursor=${(await call(`GET ${url}${cursor}`)).json().next_cursor}`
          for (const plan of [...(await plansOf(url)), ...(await plansOf(url + cursor))])
            t.notMatch(plan, /Seq Scan|Sort/, sort)
        }
      }
    )
  }

  await t.test('a search uses the trigram index', async t => {
    for (const query of [
      'q=last1234',
      'email[like]=mail777',
      'q=comp%20last177',
      'phone[like]=%2B4321',
      'q=字节',
      'q=%2B1%20(555)%20001-2345'
    ]) {
      for (const plan of await plansOf(`/api/contacts?${query}`)) {
        t.match(plan, /idx_contacts_search/, query)
        t.notMatch(plan, /Seq Scan/, query)
      }
    }
    for (const query of [
      'q=last1234',
      'q=mail777%20first77',
      'q=%2B15550012345',
      'contact.email[like]=mail777'
    ]) {
      for (const plan of await plansOf(`/api/leads?${query}`)) {
        t.match(plan, /idx_contacts_search/, query)
        t.match(plan, /idx_leads_contact_id/, query)
      }
    }
  })

  await t.test('a whole list streams', async t => {
    const ndjson = await call('GET /api/contacts?fields=id', undefined, {
      accept: 'application/x-ndjson'
    })
    const found = ndjson.body
      .trim()
      .split('\n')
      .map(line => (JSON.parse(line) as Row).id)
    t.equal(new Set(found).size, many)
    t.equal(
      (
        await call('GET /api/opportunities?sort=-amount&fields=id', undefined, {
          accept: 'text/csv'
        })
      ).body
        .trim()
        .split('\r\n').length,
      many + 1,
      'nulls and all'
    )
  })
})

t.test('the number of prepared statements is bounded, whatever lists are requested', async t => {
  const { call } = await organization(app)
  const fields = [
    'id',
    'first_name',
    'last_name',
    'email',
    'phone',
    'company',
    'position',
    'account_id',
    'version'
  ]
  for (let shape = 1; shape < 2 ** fields.length; shape++)
    await call(
      `GET /api/contacts?limit=1&fields=${fields.filter((_, i) => shape & (2 ** i)).join()}`
    )
  const [most] = await app.services.database.pool<
    { count: number }[]
  >`select count(*) from pg_prepared_statements`
  t.ok(most!.count < 350, `${most!.count} are`)
})

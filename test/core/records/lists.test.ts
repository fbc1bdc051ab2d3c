import t from 'tap'
import { application, organization, type Call } from '../../support/app.ts'
import { documentOf } from '../../support/document.ts'
import { analyze, plansOf as plansOfWork } from '../../support/plans.ts'

type Row = Record<string, string | number | null> & { id: number }
const app = await application(t)

/** All rows of a list, page by page, by following the Link header as a script would. */
async function walk(call: Call, url: string): Promise<Row[]> {
  const rows: Row[] = []
  for (let next: string | undefined = url; next !== undefined;) {
    const answer = await call(`GET ${next}`)
    const { data, has_more, next_cursor } = answer.json()
    rows.push(...data)
    next = /<(.*)>; rel="next"/.exec(String(answer.headers.link))?.[1]
    if (has_more !== (next !== undefined) || has_more !== (next_cursor !== null))
      throw new Error('has_more, next_cursor and Link disagree')
  }
  return rows
}

/** The order of the contract: nulls last in either direction, then the number of the record. */
const inOrder = (rows: Row[], keys: [string, boolean][]) =>
  rows.toSorted((a, b) => {
    for (const [field, descending] of [...keys, ['id', keys[0]![1]] as const]) {
      const [x, y] = [a[field]!, b[field]!]
      if (x === y) continue
      if (x === null || y === null) return x === null ? 1 : -1
      return (x < y ? -1 : 1) * (descending ? -1 : 1)
    }
    return 0
  })
const ids = (rows: Row[]) => rows.map(({ id }) => id)

t.test('opportunities with ties and nulls', async t => {
  const { call } = await organization(app)
  const stranger = await organization(app)
  for (let i = 0; i < 60; i++) {
    await call('POST /api/opportunities', {
      title: `T${i % 7}`,
      amount: i % 4 === 0 ? null : (i % 5) + 0.5,
      close_date: i % 3 === 0 ? null : `2026-01-${String((i % 9) + 1).padStart(2, '0')}`,
      probability: i % 11,
      stage: ['prospecting', 'proposal', 'negotiation'][i % 3]
    })
  }
  await stranger.call('POST /api/opportunities', { title: 'T1', amount: 1.5 })
  const all = await walk(call, '/api/opportunities')

  await t.test('every sort is in order across pages, in both directions', async t => {
    t.equal(all.length, 60, "and a stranger's rows are not among them")
    const sorts = [
      'amount',
      '-amount',
      'close_date',
      '-close_date',
      'title',
      '-title',
      'probability,-amount',
      '-amount,close_date',
      'close_date,-title,amount',
      'stage,-id',
      'id',
      '-id'
    ]
    for (const sort of sorts) {
      const keys = sort
        .split(',')
        .map((key): [string, boolean] => [key.replace('-', ''), key.startsWith('-')])
      for (const limit of [1, 7, 60]) {
        const found = await walk(call, `/api/opportunities?sort=${sort}&limit=${limit}`)
        t.same(ids(found), ids(inOrder(all, keys)), `sort=${sort} limit=${limit}`)
      }
    }
  })

  await t.test('every operator selects the rows it describes', async t => {
    const cases: [string, (row: Row) => boolean][] = [
      ['amount=1.5', row => row.amount === 1.5],
      ['amount[gt]=1.5', row => row.amount !== null && (row.amount as number) > 1.5],
      ['amount[gte]=1.5', row => row.amount !== null && (row.amount as number) >= 1.5],
      ['amount[lt]=1.5', row => row.amount !== null && (row.amount as number) < 1.5],
      ['amount[lte]=1.5', row => row.amount !== null && (row.amount as number) <= 1.5],
      ['amount[in]=0.5,1.5', row => row.amount === 0.5 || row.amount === 1.5],
      ['amount[null]=true', row => row.amount === null],
      ['amount[null]=false', row => row.amount !== null],
      ['stage=proposal', row => row.stage === 'proposal'],
      ['stage[in]=proposal,negotiation', row => row.stage !== 'prospecting'],
      ['title=T3', row => row.title === 'T3'],
      ['title[in]=T3,T4', row => row.title === 'T3' || row.title === 'T4'],
      [
        'close_date[gte]=2026-01-05',
        row => row.close_date !== null && row.close_date! >= '2026-01-05'
      ],
      ['probability[gte]=3&probability[lt]=5', row => [3, 4].includes(row.probability as number)],
      ['created_at[gte]=2020-01-01', () => true],
      ['created_at[lt]=2020-01-01', () => false],
      ['created_at[gte]=2020-01-01T00:00:00Z', () => true],
      ['title[like]=t3', row => row.title === 'T3'],
      ['q=t5', row => row.title === 'T5'],
      [
        'stage=proposal&amount[null]=false&sort=-amount',
        row => row.stage === 'proposal' && row.amount !== null
      ]
    ]
    for (const [query, matches] of cases) {
      const expected = ids(all.filter(matches)).toSorted((a, b) => a - b)
      t.same(
        ids(await walk(call, `/api/opportunities?limit=9&${query}`)).toSorted((a, b) => a - b),
        expected,
        query
      )
      t.equal(
        (await call(`GET /api/opportunities?limit=1&count=exact&${query}`)).json().total,
        expected.length,
        `${query} counted`
      )
    }
  })

  await t.test(
    'paging through a changing list returns each unchanged row exactly once',
    async t => {
      const first = (await call('GET /api/opportunities?sort=title&limit=20')).json()
      const untouched = ids(all).toSorted((a, b) => a - b)
      await call('POST /api/opportunities', { title: 'A' })
      await call('POST /api/opportunities', { title: 'Z' })
      const rest = await walk(
        call,
        `/api/opportunities?sort=title&limit=20&cursor=${first.next_cursor}`
      )
      t.same(
        ids([...first.data, ...rest])
          .filter(id => untouched.includes(id))
          .toSorted((a, b) => a - b),
        untouched
      )
    }
  )

  await t.test(
    'a page neither repeats nor misses rows that move between its two queries',
    async t => {
      const { call } = await organization(app)
      const made: Row[] = []
      for (let i = 0; i < 20; i++)
        made.push(
          (
            await call('POST /api/contacts', {
              first_name: 'A',
              last_name: 'B',
              company: i % 2 ? 'C' : null
            })
          ).json()
        )
      const moving = new AbortController()
      const mover = (async () => {
        for (let i = 0; !moving.signal.aborted; i++)
          await call(`PATCH /api/contacts/${made[i % 20]!.id}`, {
            company: i % 40 < 20 ? 'D' : null
          })
      })()
      for (let i = 0; i < 150; i++) {
        const found = ids((await call('GET /api/contacts?sort=company&limit=200')).json().data)
        if (found.length !== 20 || new Set(found).size !== 20)
          t.fail(`${found.length} rows, ${new Set(found).size} of them different`)
      }
      moving.abort()
      await mover
    }
  )

  await t.test('a cursor belongs to its list', async t => {
    const { next_cursor } = (await call('GET /api/opportunities?sort=title&limit=2')).json()
    const refused = async (who: Call, url: string, why: string) =>
      t.match(
        (await who(`GET ${url}`)).json(),
        { status: 400, errors: [{ parameter: 'cursor' }] },
        why
      )
    await refused(call, `/api/opportunities?sort=-title&cursor=${next_cursor}`, 'another sort')
    await refused(
      call,
      `/api/opportunities?sort=title&stage=won&cursor=${next_cursor}`,
      'another filter'
    )
    await refused(
      stranger.call,
      `/api/opportunities?sort=title&cursor=${next_cursor}`,
      'another organisation'
    )
    await refused(call, `/api/leads?cursor=${next_cursor}`, 'another resource')
    await refused(call, `/api/opportunities?sort=title&cursor=${next_cursor}x`, 'a changed one')
    await refused(call, '/api/opportunities?cursor=WzFd.AAAAAAAAAAAAAAAA', 'a made-up one')
    t.equal(
      (await call(`GET /api/opportunities?sort=title&limit=5&cursor=${next_cursor}`)).statusCode,
      200,
      'while the size of the page is free'
    )
  })
})

t.test('an invalid query is refused with the name of the parameter', async t => {
  const { call } = await organization(app)
  for (const [query, parameter] of [
    ['nonsense=1', 'nonsense'],
    ['__proto__=1', '__proto__'],
    ['last_name[regex]=x', 'last_name[regex]'],
    ['limit=0', 'limit'],
    ['limit=201', 'limit'],
    ['limit=01', 'limit'],
    ['limit=1e2', 'limit'],
    ['limit=%201', 'limit'],
    ['limit=', 'limit'],
    ['account_id=1.0', 'account_id'],
    ['account_id=%2B1', 'account_id'],
    ['account_id=0x1', 'account_id'],
    ['account_id=9223372036854775808', 'account_id'],
    ['account_id[in]=1,,2', 'account_id[in]'],
    ['sort=phone', 'sort'],
    ['sort=id,id', 'sort'],
    ['sort=id,email,company,last_name', 'sort'],
    ['sort=nonsense', 'sort'],
    ['fields=password_hash', 'fields'],
    ['fields=organization_id', 'fields'],
    ['include=organization', 'include'],
    ['count=1', 'count'],
    ['deleted=1', 'deleted'],
    ['deleted=TRUE', 'deleted'],
    ['created_at[gte]=yesterday', 'created_at[gte]'],
    ['created_at[gte]=2026-02-30', 'created_at[gte]'],
    ['created_at[gte]=2026-01-01T00:00:00%2B20:00', 'created_at[gte]'],
    ['created_at[gte]=0001-01-01T00:00:00%2B14:00', 'created_at[gte]'],
    ['account_id[in]=1,0', 'account_id[in]'],
    ['email=x%00', 'email'],
    ['q=', 'q'],
    ['email=a@example.com&email=b@example.com', 'email']
  ] as const)
    t.match(
      (await call(`GET /api/contacts?${query}`)).json(),
      { status: 400, code: 'invalid', errors: [{ parameter }] },
      query
    )
  t.match((await call('GET /api/contacts?email=%zz')).json(), { status: 400, code: 'malformed' })
  for (const id of [
    '01',
    '1.0',
    '+1',
    '%201',
    '1e0',
    '0x1',
    '-1',
    '0',
    '9223372036854775808',
    'x',
    '1%00'
  ]) {
    t.match(
      (await call(`GET /api/contacts/${id}`)).json(),
      { status: 400, errors: [{ parameter: 'id' }] },
      `id ${id}`
    )
  }
})

t.test('search', async t => {
  const { call } = await organization(app)
  for (const [first_name, last_name, email] of [
    ['José', 'Müller', 'jose@example.com'],
    ['Anna', 'Łukasz', null],
    ['100%', 'under_score', null],
    ['Jo', 'Back\\slash', null]
  ]) {
    await call('POST /api/contacts', { first_name, last_name, email })
  }
  const found = async (q: string) =>
    ((await call(`GET /api/contacts?q=${encodeURIComponent(q)}&sort=id`)).json().data as Row[]).map(
      ({ first_name }) => first_name
    )

  t.same(await found('jose'), ['José'], 'accents do not matter')
  t.same(await found('MÜLL'), ['José'], 'nor does the case')
  t.same(await found('ulle'), ['José'], 'a part of a word is enough')
  t.same(await found('lukasz'), ['Anna'])
  t.same(await found('mull jos'), ['José'], 'all words must occur')
  t.same(await found('mull anna'), [])
  t.same(await found('jo'), ['José', 'Jo'], 'two characters begin a word')
  t.same(await found('os'), [], 'and are not a part of one')
  t.same(await found('%'), [], 'wildcards are text')
  t.same(await found('100%'), ['100%'])
  t.same(await found('er_sc'), ['100%'])
  t.same(await found('e_j'), [])
  t.same(await found('ack\\sl'), ['Jo'])
  t.same(await found("'; drop table contacts; --"), [])
  t.same((await call('GET /api/contacts?last_name[like]=MULL')).json().data.length, 1)
  t.same(
    (await call('GET /api/contacts?email[like]=muller')).json().data.length,
    0,
    'like looks into its field only'
  )
  const { id } = (
    await call('POST /api/contacts', { first_name: 'Fresh', last_name: 'Paint' })
  ).json()
  t.same(await found('resh'), ['Fresh'], 'a record is found the moment it was made')
  await call(`PATCH /api/contacts/${id}`, { first_name: 'Wet' })
  t.same([await found('resh'), await found('wet')], [[], ['Wet']], 'and by what it says now')
})

t.test('fields and related records', async t => {
  const { call, admin } = await organization(app)
  const { id: account_id } = (
    await call('POST /api/accounts', { name: 'Corp', assigned_to: admin.user.id })
  ).json()
  const { id: contact_id } = (
    await call('POST /api/contacts', { first_name: 'A', last_name: 'B', account_id })
  ).json()
  const { id: lead_id } = (
    await call('POST /api/leads', { contact_id, assigned_to: admin.user.id })
  ).json()
  await call('POST /api/leads', {})

  t.same((await call(`GET /api/leads/${lead_id}?fields=id,status`)).json(), {
    id: lead_id,
    status: 'new'
  })
  t.same(
    (await call('GET /api/leads?fields=status&sort=score')).json().data,
    [{ status: 'new' }, { status: 'new' }],
    'what a sort needs is not shown'
  )
  const { data } = (await call('GET /api/leads?include=contact,assigned_to&sort=id')).json()
  t.match(data[0].included, {
    contact: { id: contact_id, account_id },
    assigned_to: { id: admin.user.id, username: admin.user.username }
  })
  t.same(
    Object.keys(data[0].included.assigned_to),
    ['id', 'username'],
    'a colleague is a name and a number'
  )
  t.same(data[1].included, {}, 'what is not there is absent')
  t.same(
    (await call(`GET /api/leads/${lead_id}?fields=id&include=contact`)).json().included.contact.id,
    contact_id
  )
  t.equal(
    (await call(`GET /api/leads/${lead_id}?include=contact`)).headers.etag,
    undefined,
    'no ETag speaks for two records'
  )
})

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
    'cells that a spreadsheet would run are disarmed'
  )
  await call('POST /api/contacts', { first_name: 'P', last_name: 'P', phone: '+1 (234) 567-890' })
  t.match(
    (await call('GET /api/contacts?first_name=P&fields=phone', undefined, { accept: 'text/csv' }))
      .body,
    'phone\r\n+1 (234) 567-890\r\n',
    'and a telephone number is none'
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
    'with a limit it is that page'
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
    const [sample] = (await call(`GET /api/${resource}?limit=1&sort=id`)).json().data as Row[]
    const sorts = /of (.*?);/
      .exec(
        documentOf(app).paths[`/api/${resource}`]!.get!.parameters!.find(
          ({ name }) => name === 'sort'
        )!.description
      )![1]!
      .split(', ')

    await t.test(`${resource}: every declared filter uses an index`, async t => {
      for (const { name } of parameters) {
        const [, field = '', operator = 'eq'] = /^(\w+)(?:\[(\w+)\])?$/.exec(name)!
        if (!(field in sample!) || operator === 'like') continue
        const values = parameters.find(parameter => parameter.name === field)?.schema.enum
        const isList = operator === 'any' || operator === 'all'
        const other = /date|_at/.test(field) ? '2026-01-01' : 1
        const present = values?.[0] ?? (isList ? 1 : sample![field]) ?? other
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
      'q=comp%20last17',
      'phone[like]=%2B4321'
    ]) {
      for (const plan of await plansOf(`/api/contacts?${query}`))
        t.match(plan, /idx_contacts_search/, query)
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

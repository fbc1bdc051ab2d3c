import t from 'tap'
import { application, organization, type Call, summaryOf } from '../../support/app.ts'
import { type Row } from './lists.ts'

const app = await application(t)
/** All rows of a list, page by page, by following the Link header as a script would. */
async function allPages(call: Call, url: string): Promise<Row[]> {
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
const stages = ['prospecting', 'proposal', 'negotiation']
const rankOf = (row: Row, field: string) =>
  field === 'stage' ? stages.indexOf(String(row.stage)) : row[field]!

/** The order of the contract: nulls last in either direction, then the number of the record. */
const inOrder = (rows: Row[], keys: [string, boolean][]) =>
  rows.toSorted((a, b) => {
    for (const [field, descending] of [...keys, ['id', keys[0]![1]] as const]) {
      const [x, y] = [rankOf(a, field), rankOf(b, field)]
      if (x === y) continue
      if (x === null || y === null) return x === null ? 1 : -1
      return (x < y ? -1 : 1) * (descending ? -1 : 1)
    }
    return 0
  })
const ids = (rows: Row[]) => rows.map(({ id }) => id)

t.test('opportunities with ties and nulls', async t => {
  const { call } = await organization(app)
  const other = await organization(app)
  for (let i = 0; i < 60; i++) {
    await call('POST /api/opportunities', {
      title: `T${i % 7}`,
      amount: i % 4 === 0 ? null : (i % 5) + 0.5,
      close_date: i % 3 === 0 ? null : `2026-01-${String((i % 9) + 1).padStart(2, '0')}`,
      probability: i % 11,
      stage: stages[i % 3]
    })
  }
  await other.call('POST /api/opportunities', { title: 'T1', amount: 1.5 })
  const all = await allPages(call, '/api/opportunities')

  await t.test('every sort is in order across pages, in both directions', async t => {
    t.equal(all.length, 60, 'rows of other organizations are not included')
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
        const found = await allPages(call, `/api/opportunities?sort=${sort}&limit=${limit}`)
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
        ids(await allPages(call, `/api/opportunities?limit=9&${query}`)).toSorted((a, b) => a - b),
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
      const rest = await allPages(
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
      other.call,
      `/api/opportunities?sort=title&cursor=${next_cursor}`,
      'another organization'
    )
    await refused(call, `/api/leads?cursor=${next_cursor}`, 'another resource')
    await refused(call, `/api/opportunities?sort=title&cursor=${next_cursor}x`, 'a changed one')
    await refused(call, '/api/opportunities?cursor=WzFd.AAAAAAAAAAAAAAAA', 'an invented one')
    t.equal(
      (await call(`GET /api/opportunities?sort=title&limit=5&cursor=${next_cursor}`)).statusCode,
      200,
      'the page size can change'
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
  t.same(await found('MÜLL'), ['José'], 'case does not matter')
  t.same(await found('ulle'), ['José'], 'a part of a word is enough')
  t.same(await found('lukasz'), ['Anna'])
  t.same(await found('mull jos'), ['José'], 'all words must occur')
  t.same(await found('mull anna'), [])
  t.same(await found('jo'), ['José', 'Jo'], 'two characters match the start of a word')
  t.same(await found('os'), [], 'and not its middle')
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
    'like searches only its field'
  )
  const { id } = (
    await call('POST /api/contacts', { first_name: 'Fresh', last_name: 'Paint' })
  ).json()
  t.same(await found('resh'), ['Fresh'], 'a record is found as soon as it is created')
  await call(`PATCH /api/contacts/${id}`, { first_name: 'Wet' })
  t.same([await found('resh'), await found('wet')], [[], ['Wet']], 'and by its current text')
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
    'fields that only the sort needs are omitted'
  )
  const { data } = (await call('GET /api/leads?include=contact,assigned_to&sort=id')).json()
  t.match(data[0].included, {
    contact: { id: contact_id, account_id },
    assigned_to: summaryOf(admin.user)
  })
  t.same(
    Object.keys(data[0].included.assigned_to),
    ['id', 'username', 'first_name', 'last_name'],
    'a user is included by name'
  )
  t.same(data[1].included, {}, 'a missing relation is absent')
  t.same(
    (await call(`GET /api/leads/${lead_id}?fields=id&include=contact`)).json().included.contact.id,
    contact_id
  )
  t.equal(
    (await call(`GET /api/leads/${lead_id}?include=contact`)).headers.etag,
    undefined,
    'a response with related records has no ETag'
  )
})

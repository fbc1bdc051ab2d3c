// What is equal, and what comes first.
import t from 'tap'
import { application, caller, login, organization, type Call } from '../../support/app.ts'
import { create } from '../../modules/automation/scoring.ts'

const app = await application(t)
const rows = async (call: Call, url: string) => (await call(`GET /api/${url}`)).json().data

t.test('email addresses are compared without case, and domains by their ASCII form', async t => {
  const { call, admin } = await organization(app)
  const contact = { first_name: 'Zoe', last_name: 'Quux' }
  await create(call, '/api/contacts', { ...contact, email: 'Zoe.Quux@Example.org' })
  await create(call, '/api/contacts', { ...contact, email: 'info@müller.example' })
  await create(call, '/api/contacts', contact)
  for (const [query, found] of [
    ['email=zoe.quux@example.org', ['Zoe.Quux@Example.org']],
    ['email[in]=ZOE.QUUX@EXAMPLE.ORG,x@example.org', ['Zoe.Quux@Example.org']],
    ['email=INFO@xn--mller-kva.example', ['info@müller.example']],
    ['email=info@mu%CC%88ller.example', ['info@müller.example']],
    ['email[null]=true', [null]],
    ['sort=email', ['info@müller.example', 'Zoe.Quux@Example.org', null]],
    ['sort=-email', ['Zoe.Quux@Example.org', 'info@müller.example', null]]
  ] as const) {
    const emails = (await rows(call, `contacts?${query}`)).map(
      (row: { email: string }) => row.email
    )
    t.same(emails, found, query)
  }
  const { username, id } = admin.user
  const [user] = await rows(call, `users?email=${username.toUpperCase()}@EXAMPLE.com`)
  t.equal(user.id, id)

  const members = await create<{ id: number }>(call, '/api/campaigns', { name: 'C' })
  const body = { resource: 'contacts', filter: 'email=ZOE.quux@example.org' }
  t.match((await call(`POST /api/campaigns/${members.id}/members`, body)).json(), { added: 1 })
  await create(call, '/api/scoring-models', {
    name: 'Model',
    status: 'active',
    rules: [{ field: 'contact.email', operator: 'in', value: 'INFO@MÜLLER.EXAMPLE', points: 7 }]
  })
  const [{ id: contact_id }] = await rows(call, 'contacts?email=info@müller.example'.normalize())
  t.equal((await create(call, '/api/leads', { contact_id })).score, 7)
})

t.test('one email address belongs to one user, however it is written', async t => {
  const { call } = await organization(app)
  const user = { password: 'a quiet harbour 47', role: 'viewer' }
  await create(call, '/api/users', { ...user, username: 'idn', email: 'Ann@Bücher.example' })
  const taken = { ...user, username: 'ascii', email: 'ann@xn--bcher-kva.example' }
  t.match((await call('POST /api/users', taken)).json(), {
    status: 409,
    errors: [{ pointer: '/email' }]
  })
  t.equal((await login(app, 'ANN@BÜCHER.example')).user.username, 'idn')
})

t.test('an email address has at most 64 octets before the @, and 63 in a label', async t => {
  const { call } = await organization(app)
  const status = async (email: string) =>
    (await call('POST /api/contacts', { first_name: 'A', last_name: 'B', email })).statusCode
  const long = (length: number) => 'x'.repeat(length)
  for (const email of [
    `${long(64)}@example.com`,
    `a@${long(63)}.example`,
    'info@müller.example',
    'пошта@приклад.укр',
    "o'brien+tag@sub.example.org"
  ])
    t.equal(await status(email), 201, email)
  for (const email of [
    `${long(65)}@example.com`,
    `${'ü'.repeat(33)}@example.com`,
    `a@${long(64)}.example`,
    `a@${'ü'.repeat(60)}.example`,
    'a@b',
    'a@-b.example',
    'a@b..example',
    'a b@example.com',
    '.a@example.com',
    'a@ex_ample.com',
    '@example.com',
    'a@'
  ])
    t.equal(await status(email), 400, email)
})

const names = ['adams', 'Adams', 'ångström', 'de Vries', 'Émile', 'Evans', 'Łuk', 'Zimmer']

t.test('names are sorted as in an address book, page by page, in both directions', async t => {
  const { call } = await organization(app)
  const added = [...names.toReversed(), 'Evans', 'adams']
  for (const last_name of added) await create(call, '/api/contacts', { first_name: 'A', last_name })
  const expected = names.flatMap(name => added.filter(one => one === name))
  for (const [sort, order] of [
    ['last_name', expected],
    ['-last_name', expected.toReversed()],
    ['first_name,last_name', expected]
  ] as const) {
    for (const limit of [1, 3, 50]) {
      const found: { last_name: string }[] = []
      let cursor = ''
      for (;;) {
        const page = (await call(`GET /api/contacts?sort=${sort}&limit=${limit}${cursor}`)).json()
        found.push(...page.data)
        if (!page.has_more) break
        cursor = `&cursor=${page.next_cursor}`
      }
      t.same(
        found.map(row => row.last_name),
        order,
        `sort=${sort} limit=${limit}`
      )
    }
  }
  t.equal((await rows(call, 'contacts?last_name=Adams')).length, 1, 'equality has case')
})

t.test('statuses, grades and priorities are sorted by their meaning', async t => {
  const { call } = await organization(app)
  for (const status of ['contacted', 'new', 'unqualified', 'qualified'])
    await create(call, '/api/leads', { status, unqualified_reason: null })
  for (const priority of ['high', 'low', 'medium'])
    await create(call, '/api/activities', { type: 'task', subject: 'A', priority })
  const values = async (url: string, field: string) =>
    (await rows(call, url)).map((row: Record<string, string>) => row[field])
  const statuses = ['new', 'contacted', 'qualified', 'unqualified']
  t.same(await values('leads?sort=status', 'status'), statuses)
  t.same(await values('leads?sort=-status', 'status'), statuses.toReversed())
  t.same(await values('activities?sort=-priority', 'priority'), ['high', 'medium', 'low'])
  t.same(await values('leads?status[in]=new,qualified&sort=status', 'status'), ['new', 'qualified'])
})

t.test('opportunities are sorted by the position of their stage', async t => {
  const { call } = await organization(app)
  const pipeline = await create<{ id: number }>(call, '/api/pipelines', {
    name: 'P',
    stages: [
      { key: 'zeta', name: 'First', probability: 10 },
      { key: 'alpha', name: 'Second', probability: 20 },
      { key: 'won', name: 'Won', kind: 'won' }
    ]
  })
  const sale = { title: 'A', pipeline_id: pipeline.id }
  for (const stage of ['alpha', 'won', 'zeta', 'alpha'])
    await create(call, '/api/opportunities', { ...sale, stage })
  const stages = async (query: string) =>
    (await rows(call, `opportunities?${query}`)).map(({ stage }: { stage: string }) => stage)
  const inOrder = ['zeta', 'alpha', 'alpha', 'won']
  t.same(await stages('sort=stage'), inOrder)
  t.same(await stages('sort=-stage&fields=stage'), inOrder.toReversed())
  const page = (await call('GET /api/opportunities?sort=stage&limit=2')).json()
  t.same(await stages(`sort=stage&limit=2&cursor=${page.next_cursor}`), ['alpha', 'won'])
  t.notOk('stage_position' in page.data[0], 'the position is not shown')

  const [first] = await rows(call, `stages?pipeline_id=${pipeline.id}&sort=position`)
  const before = await rows(call, 'opportunities?sort=id')
  await call(`PATCH /api/stages/${first.id}`, { position: 9 })
  t.same(await stages('sort=stage'), ['alpha', 'alpha', 'won', 'zeta'], 'when a stage moves')
  t.same(await rows(call, 'opportunities?sort=id'), before, 'which is no change of the records')
  const { id } = before[0]
  t.equal((await rows(call, `opportunities/${id}/history`)).length, 1, 'nor an event')
  await call(`PATCH /api/opportunities/${id}`, { stage: 'zeta' })
  t.same(await stages('sort=stage'), ['alpha', 'won', 'zeta', 'zeta'], 'when an opportunity moves')
})

t.test('a value of a list is quoted if it has a comma', async t => {
  const { call, admin } = await organization(app)
  const companies = ['Acme, Inc.', 'Acme', 'Apple', '5" Pipes', '"Quoted"']
  for (const company of companies)
    await create(call, '/api/contacts', { first_name: 'A', last_name: 'B', company })
  const found = async (list: string) =>
    (await rows(call, `contacts?sort=id&company[in]=${encodeURIComponent(list)}`)).map(
      (row: { company: string }) => row.company
    )
  for (const [list, expected] of [
    ['"Acme, Inc.",Apple', ['Acme, Inc.', 'Apple']],
    ['"Acme","Apple"', ['Acme', 'Apple']],
    ['5" Pipes,Apple', ['Apple', '5" Pipes']],
    ['"""Quoted"""', ['"Quoted"']],
    ['"5"" Pipes"', ['5" Pipes']]
  ] as const)
    t.same(await found(list), expected, list)
  for (const list of ['Acme, Inc.', 'Acme,', '"Acme', 'Acme,"Inc', '"Acme" Inc', '""', '"a"b"'])
    t.match(
      (await call(`GET /api/contacts?company[in]=${encodeURIComponent(list)}`)).json(),
      { status: 400, errors: [{ parameter: 'company[in]' }] },
      list
    )
  t.equal((await call('GET /api/leads?status[in]="new","contacted"')).statusCode, 200)
  t.equal((await call('GET /api/leads?score[in]="1",2')).statusCode, 200)
  const rule = { name: 'R', resource: 'accounts', status: 'active', user_id: admin.user.id }
  await create(call, '/api/assignment-rules', { ...rule, filter: 'city[in]="Paris, TX",Rome' })
  const assigned = async (city: string) =>
    (await create<{ assigned_to: number }>(call, '/api/accounts', { name: city, city })).assigned_to
  t.same([await assigned('Paris, TX'), await assigned('Paris')], [admin.user.id, null])
})

t.test('a password is the same, however its characters are composed', async t => {
  const { call } = await organization(app)
  const user = { username: 'composed', email: 'composed@example.com', role: 'viewer' }
  const password = 'ein stiller Häfen ﬁ 47'
  await create(call, '/api/users', { ...user, password: password.normalize('NFC') })
  for (const form of ['NFC', 'NFD', 'NFKC', 'NFKD'] as const)
    t.equal((await login(app, 'composed', password.normalize(form))).user.username, 'composed')
  const wrong = { username: 'composed', password: 'ein stiller Hafen fi 47' }
  t.equal((await caller(app)('POST /api/auth/login', wrong)).statusCode, 401)
})

import { randomBytes } from 'node:crypto'
import t from 'tap'
import { application, organization } from '../support/app.ts'
import { behavesLikeARecord } from '../support/record.ts'

const app = await application(t)
const long = (length: number) => 'x'.repeat(length)
const notText: unknown[] = [1, true, [], {}, 'a\u0000b', '\ud800']

t.test('a contact', t =>
  behavesLikeARecord(t, app, '/api/contacts', {
    valid: () => ({ first_name: 'Zoë', last_name: "O'Neil 😀", email: 'zoe@example.com' }),
    change: { last_name: 'Smith' },
    invalid: [
      ...notText.map((last_name): [Record<string, unknown>, string] => [
        { last_name },
        '/last_name'
      ]),
      [{ first_name: null }, '/first_name'],
      [{ first_name: '' }, '/first_name'],
      [{ first_name: '  ' }, '/first_name'],
      [{ first_name: long(51) }, '/first_name'],
      [{ email: 'nobody' }, '/email'],
      [{ email: `${long(120)}@example.com` }, '/email'],
      [{ phone: long(21) }, '/phone'],
      [{ account_id: '1' }, '/account_id'],
      [{ account_id: 0 }, '/account_id'],
      [{ account_id: 1.5 }, '/account_id'],
      [{ account_id: 2 ** 63 }, '/account_id']
    ]
  })
)

t.test('a lead', t =>
  behavesLikeARecord(t, app, '/api/leads', {
    valid: () => ({ source: 'website', score: -5 }),
    change: { source: 'fair' },
    invalid: [
      [{ status: 'NEW' }, '/status'],
      [{ status: null }, '/status'],
      [{ score: 2 ** 31 }, '/score'],
      [{ score: 1.5 }, '/score'],
      [{ score: '5' }, '/score'],
      [{ source: long(51) }, '/source']
    ]
  })
)

t.test('an account', t =>
  behavesLikeARecord(t, app, '/api/accounts', {
    valid: () => ({ name: 'Example Corp', annual_revenue: 0.29, employee_count: 0 }),
    change: { name: 'Sample Ltd' },
    invalid: [
      [{ name: null }, '/name'],
      [{ type: 'rival' }, '/type'],
      [{ annual_revenue: -1 }, '/annual_revenue'],
      [{ annual_revenue: 1.005 }, '/annual_revenue'],
      [{ employee_count: -1 }, '/employee_count']
    ]
  })
)

t.test('an opportunity', t =>
  behavesLikeARecord(t, app, '/api/opportunities', {
    valid: () => ({
      title: 'A sale',
      amount: 99_999_999.99,
      probability: 100,
      close_date: '2024-02-29'
    }),
    change: { title: 'Another sale' },
    invalid: [
      [{ amount: 100_000_000 }, '/amount'],
      [{ amount: -0.01 }, '/amount'],
      [{ amount: 0.001 }, '/amount'],
      [{ amount: '5' }, '/amount'],
      [{ amount: 1e300 }, '/amount'],
      [{ probability: 101 }, '/probability'],
      [{ probability: -1 }, '/probability'],
      [{ close_date: '2023-02-29' }, '/close_date'],
      [{ close_date: '0000-01-01' }, '/close_date'],
      [{ close_date: '2024-03-15T00:00:00Z' }, '/close_date'],
      [{ stage: 'May be' }, '/stage'],
      [{ title: long(201) }, '/title']
    ]
  })
)

t.test('a user', t =>
  behavesLikeARecord(t, app, '/api/users', {
    valid: () => {
      const name = randomBytes(5).toString('hex')
      return {
        username: name,
        email: `${name}@example.com`,
        password: 'a quiet harbour 47',
        role: 'viewer'
      }
    },
    change: { phone: '+390212345678' },
    turns: ['admin', 'user', 'viewer'],
    invalid: [
      [{ role: '' }, '/role'],
      [{ password: 'short' }, '/password'],
      [{ email: null }, '/email'],
      [{ username: '' }, '/username']
    ]
  })
)

t.test('references', async t => {
  const { call } = await organization(app)
  const other = await organization(app)
  const account = (await call('POST /api/accounts', { name: 'Ours' })).json()
  const theirs = (await other.call('POST /api/accounts', { name: 'Theirs' })).json()
  const contact = { first_name: 'A', last_name: 'B' }

  await t.test(
    'a reference to a missing, deleted or foreign record is a 422 with a pointer',
    async t => {
      const gone = (await call('POST /api/accounts', { name: 'Gone' })).json()
      await call(`DELETE /api/accounts/${gone.id}`)
      for (const account_id of [999_999, theirs.id, gone.id]) {
        const expected = {
          status: 422,
          code: 'unknown_reference',
          errors: [{ pointer: '/account_id', code: 'unknown_reference' }]
        }
        t.match((await call('POST /api/contacts', { ...contact, account_id })).json(), expected)
        const { id } = (await call('POST /api/contacts', contact)).json()
        t.match((await call(`PATCH /api/contacts/${id}`, { account_id })).json(), expected)
      }
      t.match(
        (await call('POST /api/leads', { contact_id: 999_999, assigned_to: 999_999 })).json()
          .errors,
        [{ pointer: '/contact_id' }, { pointer: '/assigned_to' }],
        'each of them has a pointer'
      )
    }
  )

  await t.test('a record can be saved although it refers to a deleted one', async t => {
    const parent = (await call('POST /api/accounts', { name: 'Parent' })).json()
    const { id } = (await call('POST /api/contacts', { ...contact, account_id: parent.id })).json()
    await call(`DELETE /api/accounts/${parent.id}`)
    t.equal(
      (await call(`PUT /api/contacts/${id}`, { ...contact, last_name: 'C', account_id: parent.id }))
        .statusCode,
      200
    )
    t.match((await call(`GET /api/contacts/${id}?include=account`)).json(), {
      account_id: parent.id,
      included: { account: undefined }
    })
  })

  await t.test('null clears a reference', async t => {
    const { id } = (await call('POST /api/contacts', { ...contact, account_id: account.id })).json()
    t.match((await call(`PATCH /api/contacts/${id}`, { account_id: null })).json(), {
      account_id: null
    })
  })

  await t.test('the database refuses a reference to another organization', async t => {
    const { id } = (await call('POST /api/contacts', contact)).json()
    await t.rejects(
      app.services.database.pool`update contacts set account_id = ${theirs.id} where id = ${id}`,
      { code: '23503' }
    )
  })
})

t.test('twelve writers increment a record fifty times each, and no increment is lost', async t => {
  const { call } = await organization(app)
  const { id } = (await call('POST /api/leads', { score: 0 })).json()
  let refused = 0
  await Promise.all(
    Array.from({ length: 12 }, async () => {
      for (let done = 0; done < 50;) {
        const { score, version } = (await call(`GET /api/leads/${id}`)).json()
        const answer = await call(
          `PATCH /api/leads/${id}`,
          { score: score + 1 },
          { 'if-match': `"${version}"` }
        )
        if (answer.statusCode === 200) done++
        else refused++
      }
    })
  )
  t.match(
    (await call(`GET /api/leads/${id}`)).json(),
    { score: 600, version: 601 },
    `${refused} stale updates were refused`
  )
  t.equal(
    (
      await app.services.database
        .pool`select 1 from events where subject_type = 'lead' and subject_id = ${id}`
    ).length,
    601,
    'each update has an event'
  )
})

t.test('accounts cannot form cycles', async t => {
  const { call } = await organization(app)
  const create = async (parent_account_id: number | null = null) =>
    (await call('POST /api/accounts', { name: 'A', parent_account_id })).json().id as number
  const top = await create()
  const middle = await create(top)
  const bottom = await create(middle)
  for (const parent of [top, middle, bottom]) {
    t.match((await call(`PATCH /api/accounts/${top}`, { parent_account_id: parent })).json(), {
      status: 422,
      errors: [{ pointer: '/parent_account_id' }]
    })
  }
  t.match(
    (await call(`GET /api/accounts/${bottom}?include=parent_account`)).json().included
      .parent_account,
    { id: middle }
  )
  const [a, b] = [await create(), await create()]
  const both = await Promise.all([
    call(`PATCH /api/accounts/${a}`, { parent_account_id: b }),
    call(`PATCH /api/accounts/${b}`, { parent_account_id: a })
  ])
  t.same(
    both.map(answer => answer.statusCode).toSorted((a, b) => a - b),
    [200, 422],
    'not even by two concurrent updates'
  )
  await call(`DELETE /api/accounts/${middle}`)
  const around = { parent_account_id: bottom }
  t.equal((await call(`PATCH /api/accounts/${top}`, around)).statusCode, 200)
  t.match(
    (await call(`POST /api/accounts/${middle}/restore`)).json(),
    { status: 409, code: 'conflict', detail: /is now a descendant of this account/ },
    'nor by restoring one'
  )
  await call(`PATCH /api/accounts/${top}`, { parent_account_id: null })
  t.equal((await call(`POST /api/accounts/${middle}/restore`)).statusCode, 200)
})

t.test('users', async t => {
  const { call, admin } = await organization(app)
  const other = await organization(app)

  await t.test(
    'usernames and emails are unique regardless of case until the user is deleted',
    async t => {
      const name = randomBytes(5).toString('hex')
      const user = { username: name, email: `${name}@example.com`, password: 'a quiet harbour 47' }
      const { id } = (await call('POST /api/users', user)).json()
      t.match(
        (
          await call('POST /api/users', {
            ...user,
            email: `x${name}@example.com`,
            username: name.toUpperCase()
          })
        ).json(),
        { status: 409, code: 'duplicate', errors: [{ pointer: '/username' }] }
      )
      t.match(
        (
          await call('POST /api/users', {
            ...user,
            username: `x${name}`,
            email: user.email.toUpperCase()
          })
        ).json(),
        { status: 409, errors: [{ pointer: '/email' }] }
      )
      t.equal((await other.call('POST /api/users', user)).statusCode, 201)
      await call(`DELETE /api/users/${id}`)
      t.equal((await call('POST /api/users', user)).statusCode, 201)
      t.match((await call(`POST /api/users/${id}/restore`)).json(), {
        status: 409,
        code: 'duplicate'
      })
    }
  )

  await t.test('a username cannot be the email of another user', async t => {
    const name = randomBytes(5).toString('hex')
    t.match(
      (
        await call('POST /api/users', {
          username: `${name}@example.com`,
          email: `${name}@example.org`,
          password: 'a quiet harbour 47'
        })
      ).json(),
      { status: 422, code: 'rule_broken', errors: [{ pointer: '/username' }] }
    )
  })

  await t.test('a common password is refused', async t => {
    const name = randomBytes(5).toString('hex')
    t.match(
      (
        await call('POST /api/users', {
          username: name,
          email: `${name}@example.com`,
          password: 'Password123'
        })
      ).json(),
      { status: 422, errors: [{ pointer: '/password' }] }
    )
  })

  await t.test('the last admin cannot be removed', async t => {
    const path = `/api/users/${admin.user.id}`
    for (const [request, body] of [
      [`DELETE ${path}`],
      [`PATCH ${path}`, { role: 'user' }],
      [`PATCH ${path}`, { status: 'disabled' }]
    ] as [string, object?][]) {
      t.match((await call(request, body)).json(), { status: 409, code: 'conflict' })
    }
    t.equal((await call(`GET ${path}`)).json().version, 1)
  })

  await t.test('of two admins who remove each other concurrently, one remains', async t => {
    const { call, admin, user } = await organization(app)
    const second = await user('admin')
    const both = await Promise.all([
      call(`DELETE /api/users/${second.user.id}`),
      second.call(`DELETE /api/users/${admin.user.id}`)
    ])
    t.same(
      both.map(answer => answer.statusCode).toSorted((a, b) => a - b),
      [204, 409]
    )
  })
})

import t from 'tap'
import { application, organization, type Call } from '../../support/app.ts'
import { analyze, plansOf } from '../../support/plans.ts'
import { behavesLikeARecord } from '../../support/record.ts'

type Made = Record<string, unknown> & { id: number; version: number; assigned_to: number | null }
const app = await application(t)
const sql = app.services.database.pool
let number = 0
const unique = (name: string) => `${name} ${++number}`

async function make(call: Call, resource: string, body: object = {}): Promise<Made> {
  const answer = await call(`POST /api/${resource}`, body)
  if (answer.statusCode !== 201) throw new Error(answer.body)
  return answer.json()
}
const rule = (call: Call, body: object) =>
  make(call, 'assignment-rules', {
    name: unique('Rule'),
    resource: 'accounts',
    status: 'active',
    ...body
  })
const team = (call: Call, member_ids: number[]) =>
  make(call, 'teams', { name: unique('Team'), member_ids })
const account = (call: Call, body: object = {}) => make(call, 'accounts', { name: 'Corp', ...body })
const firstUser = async (call: Call): Promise<number> =>
  (await call('GET /api/users/directory')).json().data[0].id

const leaders: (number | null)[] = [null, null]
t.test('a team', t =>
  behavesLikeARecord(t, app, '/api/teams', {
    valid: async call => ({
      name: unique('Team'),
      leader_id: (leaders[0] = await firstUser(call))
    }),
    change: { leader_id: null },
    turns: leaders,
    invalid: [
      [{ name: '' }, '/name'],
      [{ member_ids: null }, '/member_ids'],
      [{ member_ids: [0] }, '/member_ids/0'],
      [{ member_ids: [1, 1] }, '/member_ids'],
      [{ leader_id: 'x' }, '/leader_id']
    ]
  })
)

t.test('a territory', t =>
  behavesLikeARecord(t, app, '/api/territories', {
    valid: () => ({ name: unique('Territory'), filter: 'country=Sweden' }),
    change: { filter: 'country=Norway' },
    turns: ['country=Norway', 'country=Finland'],
    invalid: [
      [{ name: null }, '/name'],
      [{ filter: null }, '/filter'],
      [{ filter: ' ' }, '/filter'],
      [{ filter: 'x'.repeat(1001) }, '/filter'],
      [{ team_id: 0 }, '/team_id']
    ]
  })
)

t.test('an assignment rule', t =>
  behavesLikeARecord(t, app, '/api/assignment-rules', {
    valid: async call => ({
      name: 'Rule',
      resource: 'leads',
      filter: 'source=website',
      user_id: await firstUser(call)
    }),
    change: { name: 'Another' },
    invalid: [
      [{ resource: 'contacts' }, '/resource'],
      [{ status: 'on' }, '/status'],
      [{ position: -1 }, '/position'],
      [{ filter: 1 }, '/filter'],
      [{ name: null }, '/name']
    ]
  })
)

t.test('an invalid team, territory or rule is refused with a pointer', async t => {
  const { call, admin, user } = await organization(app)
  const stranger = await organization(app)
  const colleague = await user('user')
  const gone = await user('user')
  await call(`DELETE /api/users/${gone.user.id}`)
  const [ours, theirs] = [await team(call, []), await team(stranger.call, [])]

  await t.test('members are users of the organization', async t => {
    const member_ids = [admin.user.id, 999_999, stranger.admin.user.id, gone.user.id]
    const expected = {
      status: 422,
      code: 'unknown_reference',
      errors: [
        { pointer: '/member_ids/1' },
        { pointer: '/member_ids/2' },
        { pointer: '/member_ids/3' }
      ]
    }
    t.match((await call('POST /api/teams', { name: unique('Team'), member_ids })).json(), expected)
    t.match((await call(`PATCH /api/teams/${ours.id}`, { member_ids })).json(), expected)
    t.match((await call(`GET /api/teams/${ours.id}`)).json(), { version: 1, member_ids: [] })
    t.match(
      (await call('POST /api/teams', { name: unique('Team'), leader_id: gone.user.id })).json(),
      { status: 422, errors: [{ pointer: '/leader_id' }] }
    )
    const { id } = await team(call, [admin.user.id, colleague.user.id])
    t.match(
      (await call(`GET /api/teams/${id}?include=leader,members`)).json().included,
      { members: [{ id: admin.user.id }, { id: colleague.user.id }] },
      'in their order'
    )
  })

  await t.test('a team can be saved although a member has been deleted', async t => {
    const leaving = await user('user')
    const { id } = await team(call, [leaving.user.id, admin.user.id])
    await call(`DELETE /api/users/${leaving.user.id}`)
    t.equal(
      (
        await call(`PUT /api/teams/${id}`, {
          name: unique('Team'),
          member_ids: [leaving.user.id, admin.user.id]
        })
      ).statusCode,
      200
    )
    t.match(
      (
        await call(`PATCH /api/teams/${id}`, { member_ids: [leaving.user.id, gone.user.id] })
      ).json(),
      { status: 422, errors: [{ pointer: '/member_ids/1' }] }
    )
    t.match(
      (await call(`PATCH /api/teams/${id}`, { member_ids: [] }, { 'if-match': '"1"' })).json(),
      { status: 412 }
    )
  })

  await t.test('names of teams and territories are unique regardless of case', async t => {
    const name = unique('Same')
    await make(call, 'teams', { name })
    t.match((await call('POST /api/teams', { name: name.toUpperCase() })).json(), {
      status: 409,
      code: 'duplicate',
      errors: [{ pointer: '/name' }]
    })
    await make(stranger.call, 'teams', { name })
  })

  await t.test('a rule names either a user or a team, and an existing one', async t => {
    const body = { name: 'Rule', resource: 'leads' }
    const { id: user_id } = admin.user
    t.match((await call('POST /api/assignment-rules', body)).json(), {
      status: 422,
      code: 'rule_broken',
      errors: [{ pointer: '/user_id' }]
    })
    t.match(
      (await call('POST /api/assignment-rules', { ...body, user_id, team_id: ours.id })).json(),
      { status: 422, errors: [{ pointer: '/team_id' }] }
    )
    for (const team_id of [999_999, theirs.id])
      t.match((await call('POST /api/assignment-rules', { ...body, team_id })).json(), {
        status: 422,
        code: 'unknown_reference',
        errors: [{ pointer: '/team_id' }]
      })
    for (const user_id of [999_999, stranger.admin.user.id, gone.user.id])
      t.match((await call('POST /api/assignment-rules', { ...body, user_id })).json(), {
        status: 422,
        errors: [{ pointer: '/user_id' }]
      })
    const { id } = await make(call, 'assignment-rules', { ...body, user_id })
    t.match((await call(`PATCH /api/assignment-rules/${id}`, { team_id: ours.id })).json(), {
      status: 422,
      errors: [{ pointer: '/team_id' }]
    })
    t.match((await call(`PATCH /api/assignment-rules/${id}`, { user_id: null })).json(), {
      status: 422,
      errors: [{ pointer: '/user_id' }]
    })
    t.match(
      (await call(`PATCH /api/assignment-rules/${id}`, { user_id: null, team_id: ours.id })).json(),
      { user_id: null, team_id: ours.id, version: 2 }
    )
    t.match((await call(`GET /api/assignment-rules/${id}?include=user,team`)).json().included, {
      team: { id: ours.id }
    })
  })

  await t.test('a filter is one of the list, on fields that a new record can have', async t => {
    const body = { name: 'Rule', user_id: admin.user.id }
    for (const [resource, filter] of [
      ['leads', 'nonsense=1'],
      ['leads', 'score[gte]=x'],
      ['leads', 'status=maybe'],
      ['leads', 'source[like]=web'],
      ['leads', 'source=a&source=b'],
      ['leads', 'assigned_to=1'],
      ['leads', 'created_at[gte]=2026-01-01'],
      ['leads', 'id=1'],
      ['leads', 'name=x'],
      ['leads', 'sort=id'],
      ['leads', 'q=x'],
      ['accounts', 'source=website'],
      ['accounts', 'territory_id=1'],
      ['accounts', 'annual_revenue[gt]=1e3'],
      ['opportunities', 'amount[gt]=much'],
      ['opportunities', 'status=open'],
      ['opportunities', '__proto__=1']
    ] as const) {
      t.match(
        (await call('POST /api/assignment-rules', { ...body, resource, filter })).json(),
        { status: 422, code: 'rule_broken', errors: [{ pointer: '/filter' }] },
        `${resource}?${filter}`
      )
    }
    const { id } = await make(call, 'assignment-rules', {
      ...body,
      resource: 'leads',
      filter: 'source=website'
    })
    t.match(
      (await call(`PATCH /api/assignment-rules/${id}`, { resource: 'accounts' })).json(),
      { status: 422, errors: [{ pointer: '/filter' }] },
      'also when only the resource changes'
    )
    t.match(
      (await call(`PATCH /api/assignment-rules/${id}`, { filter: 'name=x' })).json(),
      { status: 422, errors: [{ pointer: '/filter' }] },
      'and when only the filter does'
    )
    t.equal((await call(`GET /api/assignment-rules/${id}`)).json().version, 1)
    for (const filter of ['name=x', 'id=1', 'country[like]=swe', 'tags[any]=1', 'country=']) {
      t.match(
        (await call('POST /api/territories', { name: unique('T'), filter })).json(),
        filter === 'country=' ? { filter } : { status: 422, errors: [{ pointer: '/filter' }] },
        filter
      )
    }
  })

  await t.test('only admins change assignment; everybody can read it', async t => {
    for (const [path, body] of [
      ['teams', { name: 'x' }],
      ['territories', { name: 'x', filter: 'state=x' }],
      ['assignment-rules', { name: 'x', resource: 'leads', user_id: admin.user.id }]
    ] as const) {
      t.equal((await colleague.call(`POST /api/${path}`, body)).statusCode, 403)
      t.equal((await colleague.call(`GET /api/${path}`)).statusCode, 200)
    }
  })
})

t.test(
  'a new record without a user is assigned by the first active rule that matches',
  async t => {
    const { call, admin, user } = await organization(app)
    const stranger = await organization(app)
    const [ann, bob, eve] = [await user('user'), await user('user'), await user('user')]
    t.equal((await account(call)).assigned_to, null, 'without rules nobody gets it')
    await rule(call, { position: 2, filter: 'country=Sweden', user_id: bob.user.id })
    const first = await rule(call, {
      position: 1,
      filter: 'country[in]=Sweden,Norway&employee_count[gte]=100',
      user_id: ann.user.id
    })
    await rule(call, {
      position: 1,
      filter: 'country=Norway&employee_count[gte]=100',
      user_id: eve.user.id
    })
    const draft = await rule(call, { position: 0, user_id: eve.user.id, status: 'draft' })
    await rule(call, {
      position: 0,
      user_id: eve.user.id,
      resource: 'leads',
      filter: 'score[gte]=1000'
    })

    t.equal(
      (await account(call, { country: 'Sweden', employee_count: 100 })).assigned_to,
      ann.user.id,
      'by position, and then the older one'
    )
    t.equal(
      (await account(call, { country: 'Norway', employee_count: 100 })).assigned_to,
      ann.user.id
    )
    t.equal(
      (await account(call, { country: 'Sweden', employee_count: 99 })).assigned_to,
      bob.user.id
    )
    t.equal(
      (await account(call, { country: 'Sweden' })).assigned_to,
      bob.user.id,
      'what is absent meets nothing'
    )
    t.equal(
      (await account(call, { country: 'Denmark' })).assigned_to,
      null,
      'what no rule fits stays with nobody'
    )
    t.equal(
      (await account(call, { country: 'Sweden', assigned_to: admin.user.id })).assigned_to,
      admin.user.id,
      'who is named gets it'
    )
    t.equal(
      (await account(call, { country: 'Sweden', assigned_to: null })).assigned_to,
      null,
      'nobody is a name as well'
    )
    t.equal(
      (await account(stranger.call, { country: 'Sweden' })).assigned_to,
      null,
      "a stranger's rules are for strangers"
    )

    const { id } = await account(call, { country: 'Denmark' })
    t.equal(
      (await call(`PATCH /api/accounts/${id}`, { country: 'Sweden' })).json().assigned_to,
      null,
      'a change is no creation'
    )
    await call(`PATCH /api/users/${ann.user.id}`, { status: 'disabled' })
    t.equal(
      (await account(call, { country: 'Sweden', employee_count: 100 })).assigned_to,
      bob.user.id,
      'a rule whose user is disabled is passed over'
    )
    await call(`DELETE /api/users/${bob.user.id}`)
    t.equal(
      (await account(call, { country: 'Sweden', employee_count: 100 })).assigned_to,
      null,
      'or deleted'
    )
    await call(`PATCH /api/assignment-rules/${first.id}`, { user_id: admin.user.id })
    t.equal(
      (await account(call, { country: 'Sweden', employee_count: 100 })).assigned_to,
      admin.user.id,
      'a rule that changes is followed at once'
    )
    await call(`PATCH /api/assignment-rules/${draft.id}`, { status: 'active' })
    t.equal((await account(call)).assigned_to, eve.user.id, 'one without a filter is for all')
    await call(`DELETE /api/assignment-rules/${draft.id}`)
    t.equal((await account(call)).assigned_to, null, 'and a deleted one for none')
  }
)

t.test('a rule matches what the list selects', async t => {
  const { call, admin } = await organization(app)
  const tag = await make(call, 'tags', { name: 'key' })
  const records = [
    {},
    { name: 'Éxample Ab', country: 'Sweden' },
    { name: 'X', annual_revenue: 0.29, tags: [tag.id] },
    { name: 'Y', annual_revenue: 5, type: 'partner' },
    { name: 'Z', country: '', employee_count: 0, status: 'inactive' }
  ].map(record => ({ name: 'Corp', ...record }))
  for (const filter of [
    'type=prospect',
    'type[in]=partner,vendor',
    'status=active',
    'country[null]=true',
    'country[null]=false',
    'country=',
    'name[like]=example',
    'annual_revenue[lte]=0.29',
    'annual_revenue[gt]=0.29&type=partner',
    `tags[any]=${tag.id}`,
    `tags[all]=${tag.id},999`,
    'employee_count=0',
    'employee_count[in]=0,1',
    'name[in]=X,Y',
    ''
  ]) {
    const { id } = await rule(call, { filter, user_id: admin.user.id })
    const made = await Promise.all(records.map(record => account(call, record)))
    const listed = (
      await call(`GET /api/accounts?id[in]=${made.map(({ id }) => id).join()}&${filter}&sort=id`)
    ).json().data as Made[]
    t.same(
      made
        .filter(({ assigned_to }) => assigned_to !== null)
        .map(({ id }) => id)
        .toSorted((a, b) => a - b),
      listed.map(({ id }) => id),
      filter
    )
    await call(`DELETE /api/assignment-rules/${id}`)
  }
})

t.test('a team assigns in turns', async t => {
  const { call, user } = await organization(app)
  const members = [await user('user'), await user('user'), await user('user')].map(
    ({ user }) => user.id
  )
  const { id: team_id } = await team(call, members)
  const { id: rule_id } = await rule(call, { team_id, filter: 'country=Sweden' })
  const turns = async (count: number) => {
    const made = await Promise.all(
      Array.from({ length: count }, () => account(call, { country: 'Sweden' }))
    )
    return made
      .toSorted((a, b) => a.id - b.id)
      .map(({ assigned_to }) => members.indexOf(assigned_to!))
  }

  t.same(
    await turns(20),
    Array.from({ length: 20 }, (_, i) => i % 3),
    'twenty at the same time get their shares, in order'
  )

  await t.test('a failed creation takes no turn', async t => {
    t.equal(
      (
        await call('POST /api/accounts', {
          name: 'X',
          country: 'Sweden',
          parent_account_id: 999_999
        })
      ).statusCode,
      422
    )
    await account(call, { country: 'Norway' })
    await account(call, { country: 'Sweden', assigned_to: null })
    t.same(await turns(1), [20 % 3])
  })

  await t.test('inactive members are skipped', async t => {
    await call(`PATCH /api/users/${members[1]}`, { status: 'disabled' })
    t.same(new Set(await turns(4)), new Set([0, 2]))
    await call(`DELETE /api/users/${members[0]}`)
    t.same(await turns(2), [2, 2])
    await call(`PATCH /api/users/${members[2]}`, { status: 'disabled' })
    t.same(await turns(1), [-1], 'and a team without an active member gets nothing')
    await call(`PATCH /api/users/${members[1]}`, { status: 'active' })
    t.same(await turns(1), [1])
    await call(`DELETE /api/teams/${team_id}`)
    t.same(await turns(1), [-1], 'nor does one that is gone')
    t.equal(
      (await call(`PATCH /api/assignment-rules/${rule_id}`, { name: 'still editable' })).statusCode,
      200
    )
  })
})

t.test('twenty concurrent creations take turns of two teams without a deadlock', async t => {
  const { call, admin } = await organization(app)
  for (const country of ['Sweden', 'Norway'])
    await rule(call, {
      filter: `country=${country}`,
      team_id: (await team(call, [admin.user.id])).id
    })
  const made = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      call('POST /api/accounts', { name: 'X', country: i % 2 ? 'Sweden' : 'Norway' })
    )
  )
  t.same(new Set(made.map(({ statusCode }) => statusCode)), new Set([201]))
  const turns = await sql<{ turns: number }[]>`select turns from team_turns where organization_id =
    (select organization_id from users where id = ${admin.user.id})`
  t.same(
    turns.map(({ turns }) => turns),
    [10, 10]
  )
})

t.test('a territory has the accounts that match its filter, at any time', async t => {
  const { call, id: organization_id } = await organization(app)
  const stranger = await organization(app)
  const north = await make(call, 'territories', {
    name: 'North',
    filter: 'country[in]=Sweden,Norway'
  })
  const mills = await make(call, 'territories', {
    name: 'Mills',
    filter: 'country=Sweden&industry=Paper'
  })
  const nowhere = await make(call, 'territories', { name: 'Nowhere', filter: 'country[null]=true' })
  const a = await account(call, { country: 'Sweden', industry: 'Paper' })
  const b = await account(call, { country: 'Norway' })
  const c = await account(call)
  await account(stranger.call, { country: 'Sweden' })
  const names = (data: { name: string }[]) => data.map(({ name }) => name)
  const inside = async (id: number, query = '') =>
    (
      (await call(`GET /api/accounts?territory_id=${id}&sort=id${query}`)).json().data as Made[]
    ).map(({ id }) => id)
  const around = async (id: number) =>
    names((await call(`GET /api/accounts/${id}/territories`)).json().data)

  t.same(
    [await inside(north.id), await inside(mills.id), await inside(nowhere.id)],
    [[a.id, b.id], [a.id], [c.id]]
  )
  t.same(
    [await around(a.id), await around(b.id), await around(c.id)],
    [['Mills', 'North'], ['North'], ['Nowhere']],
    'seen from the account as well'
  )
  t.same(await inside(north.id, '&industry=Paper'), [a.id], 'with other filters')
  t.equal(
    (await call(`GET /api/accounts?territory_id=${north.id}&count=exact&limit=1`)).json().total,
    2
  )
  t.match(
    (
      await call(`GET /api/accounts?territory_id=${north.id}&sort=id&fields=id`, undefined, {
        accept: 'text/csv'
      })
    ).body,
    `id\r\n${a.id}\r\n${b.id}\r\n`
  )

  await call(`PATCH /api/accounts/${a.id}`, { country: 'Norway' })
  t.same(
    [await inside(north.id), await inside(mills.id), await around(a.id)],
    [[a.id, b.id], [], ['North']],
    'an account that changes changes territories'
  )
  const page = (await call(`GET /api/accounts?territory_id=${north.id}&limit=1`)).json()
  await call(`PATCH /api/territories/${north.id}`, { filter: 'country=Finland' })
  t.same(
    [await inside(north.id), await around(b.id)],
    [[], []],
    'and a territory that changes changes its accounts'
  )
  t.equal(
    (await call(`GET /api/accounts?territory_id=${north.id}&limit=1&cursor=${page.next_cursor}`))
      .statusCode,
    400,
    'a page of what it was has no next one'
  )

  t.same(await inside(999_999), [], 'nothing is in a territory that does not exist')
  t.same(
    (await stranger.call(`GET /api/accounts?territory_id=${nowhere.id}`)).json().data,
    [],
    "or is a stranger's"
  )
  await call(`DELETE /api/territories/${nowhere.id}`)
  t.same([await inside(nowhere.id), await around(c.id)], [[], []], 'or was deleted')
  t.equal((await call('GET /api/accounts/999999/territories')).statusCode, 404)
  t.equal((await stranger.call(`GET /api/accounts/${a.id}/territories`)).statusCode, 404)

  await t.test('more territories than a page are matched', async t => {
    await sql`insert into territories (organization_id, name, filter)
      select ${organization_id}, 'T' || n, case n when 399 then 'state=Y' else 'state=X' end
      from generate_series(1, 450) n`
    const { id } = await account(call, { country: 'Sweden', industry: 'Paper', state: 'Y' })
    const found: string[] = []
    for (let next: string | undefined = `/api/accounts/${id}/territories`; next !== undefined;) {
      const answer = await call(`GET ${next}`)
      found.push(...names(answer.json().data))
      next = /<(.*)>; rel="next"/.exec(String(answer.headers.link))?.[1]
    }
    t.same(found, ['Mills', 'T399'])
  })
})

t.test('with 5,000 accounts and 500 rules, no statement scans a table', async t => {
  const { call, admin, id: organization_id } = await organization(app)
  await sql`insert into accounts (organization_id, name, industry, state, country)
    select ${organization_id}, 'Account ' || n, 'Industry ' || n % 50, 'State ' || n % 200,
    'Country ' || n % 100 from generate_series(1, 5000) n`
  await sql`insert into assignment_rules
    (organization_id, name, resource, status, filter, position, user_id)
    select ${organization_id}, 'Rule', 'accounts',
      case when n % 10 = 0 then 'active' else 'draft' end, 'country=Country ' || n, n,
      ${admin.user.id} from generate_series(1, 500) n`
  await analyze(app)
  t.equal((await account(call, { country: 'Country 490' })).assigned_to, admin.user.id)
  for (const filter of [
    'country=Country 7',
    'country=Country 7&state[in]=State 7,State 8',
    'industry=Industry 7',
    'state=State 7&industry=Industry 7',
    'country[null]=true'
  ]) {
    const { id } = await make(call, 'territories', { name: unique('T'), filter })
    for (const plan of await plansOf(app, () => call(`GET /api/accounts?territory_id=${id}`)))
      t.notMatch(plan, /Seq Scan on accounts/, filter)
  }
})

import t from 'tap'
import { application, organization, type Call } from '../../support/app.ts'
import { behavesLikeARecord } from '../../support/record.ts'
import { unique, create, team } from './assignment.ts'

const app = await application(t)
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
  const other = await organization(app)
  const colleague = await user('user')
  const gone = await user('user')
  await call(`DELETE /api/users/${gone.user.id}`)
  const [ours, theirs] = [await team(call, []), await team(other.call, [])]

  await t.test('members are users of the organization', async t => {
    const member_ids = [admin.user.id, 999_999, other.admin.user.id, gone.user.id]
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
    await create(call, 'teams', { name })
    t.match((await call('POST /api/teams', { name: name.toUpperCase() })).json(), {
      status: 409,
      code: 'duplicate',
      errors: [{ pointer: '/name' }]
    })
    await create(other.call, 'teams', { name })
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
    for (const user_id of [999_999, other.admin.user.id, gone.user.id])
      t.match((await call('POST /api/assignment-rules', { ...body, user_id })).json(), {
        status: 422,
        errors: [{ pointer: '/user_id' }]
      })
    const { id } = await create(call, 'assignment-rules', { ...body, user_id })
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
    const { id } = await create(call, 'assignment-rules', {
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

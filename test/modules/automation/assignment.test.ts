import t from 'tap'
import { application, organization, type Call } from '../../support/app.ts'
import { analyze, plansOf } from '../../support/plans.ts'
import { type Created, unique, create, team, account } from './assignment.ts'

const app = await application(t)
const sql = app.services.database.pool
const rule = (call: Call, body: object) =>
  create(call, 'assignment-rules', {
    name: unique('Rule'),
    resource: 'accounts',
    status: 'active',
    ...body
  })

t.test('a new record without a user is assigned by the first active rule that matches', async t => {
  const { call, admin, user } = await organization(app)
  const other = await organization(app)
  const [ann, bob, eve] = [await user('user'), await user('user'), await user('user')]
  t.equal((await account(call)).assigned_to, null, 'without rules it is unassigned')
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
    'by position, then by age'
  )
  t.equal(
    (await account(call, { country: 'Norway', employee_count: 100 })).assigned_to,
    ann.user.id
  )
  t.equal((await account(call, { country: 'Sweden', employee_count: 99 })).assigned_to, bob.user.id)
  t.equal(
    (await account(call, { country: 'Sweden' })).assigned_to,
    bob.user.id,
    'an absent field matches nothing'
  )
  t.equal(
    (await account(call, { country: 'Denmark' })).assigned_to,
    null,
    'a record that no rule matches is unassigned'
  )
  t.equal(
    (await account(call, { country: 'Sweden', assigned_to: admin.user.id })).assigned_to,
    admin.user.id,
    'a user in the request takes precedence'
  )
  t.equal(
    (await account(call, { country: 'Sweden', assigned_to: null })).assigned_to,
    null,
    'an explicit null takes precedence, too'
  )
  t.equal(
    (await account(other.call, { country: 'Sweden' })).assigned_to,
    null,
    'rules of other organizations do not apply'
  )

  const { id } = await account(call, { country: 'Denmark' })
  t.equal(
    (await call(`PATCH /api/accounts/${id}`, { country: 'Sweden' })).json().assigned_to,
    null,
    'updates are not assigned'
  )
  await call(`PATCH /api/users/${ann.user.id}`, { status: 'disabled' })
  t.equal(
    (await account(call, { country: 'Sweden', employee_count: 100 })).assigned_to,
    bob.user.id,
    'a rule whose user is disabled is skipped'
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
    'a changed rule applies at once'
  )
  await call(`PATCH /api/assignment-rules/${draft.id}`, { status: 'active' })
  t.equal((await account(call)).assigned_to, eve.user.id, 'a rule without a filter matches all')
  await call(`DELETE /api/assignment-rules/${draft.id}`)
  t.equal((await account(call)).assigned_to, null, 'a deleted rule matches none')
})

t.test('a rule matches what the list selects', async t => {
  const { call, admin } = await organization(app)
  const tag = await create(call, 'tags', { name: 'key' })
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
    ).json().data as Created[]
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
    'twenty concurrent creations are distributed in turns'
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
    t.same(await turns(1), [-1], 'a team without active members is skipped')
    await call(`PATCH /api/users/${members[1]}`, { status: 'active' })
    t.same(await turns(1), [1])
    await call(`DELETE /api/teams/${team_id}`)
    t.same(await turns(1), [-1], 'and so is a deleted team')
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
    const { id } = await create(call, 'territories', { name: unique('T'), filter })
    for (const plan of await plansOf(app, () => call(`GET /api/accounts?territory_id=${id}`)))
      t.notMatch(plan, /Seq Scan on accounts/, filter)
  }
})

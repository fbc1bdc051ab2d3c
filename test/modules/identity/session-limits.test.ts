// How long sessions last: limits that an organization sets.
import t from 'tap'
import { application, caller, organization } from '../../support/app.ts'
import { age } from '../../support/second-factor.ts'

const app = await application(t)
const day = 24 * 60
const path = '/api/organization'

type Someone = Awaited<ReturnType<Awaited<ReturnType<typeof organization>>['user']>>

/** What becomes of the access and the refresh token of a session. */
async function stateOf({ call, refresh_token }: Someone) {
  const read = await call('GET /api/tags')
  const refreshed = await caller(app)('POST /api/auth/refresh', { refresh_token })
  return [read, refreshed].map(({ statusCode, json }) => [statusCode, json().code])
}
const open = [
  [200, undefined],
  [200, undefined]
]
const ended = [
  [401, 'session_ended'],
  [401, 'session_ended']
]

t.test('a session ends after 30 days without a refresh, and after 90 days', async t => {
  const { call, user } = await organization(app)
  t.match((await call(`GET ${path}`)).json(), {
    session_idle_days: 30,
    session_absolute_days: 90,
    second_factor: 'optional'
  })
  for (const [column, days] of [
    ['last_used_at', 30],
    ['created_at', 90]
  ] as const) {
    const [young, old] = [await user('user'), await user('user')]
    await age(app, young.user.id, column, days * day - 1)
    await age(app, old.user.id, column, days * day)
    t.same(await stateOf(young), open, column)
    t.same(await stateOf(old), ended, column)
  }
})

t.test('an organization sets other limits, for running sessions, too', async t => {
  const [ours, theirs] = [await organization(app), await organization(app)]
  const set = async (body: object) => (await ours.call(`PATCH ${path}`, body)).statusCode
  for (const [column, limit, before] of [
    ['last_used_at', { session_idle_days: 2 }, { session_idle_days: 30 }],
    ['created_at', { session_idle_days: 1, session_absolute_days: 2 }, undefined]
  ] as const) {
    const [young, old, other] = [
      await ours.user('user'),
      await ours.user('user'),
      await theirs.user('user')
    ]
    await age(app, young.user.id, column, 2 * day - 1)
    await age(app, old.user.id, column, 2 * day)
    await age(app, other.user.id, column, 2 * day)
    t.equal((await old.call('GET /api/tags')).statusCode, 200)
    t.equal(await set(limit), 200)
    t.equal((await old.call('GET /api/tags')).statusCode, 401, 'from the next request on')
    t.same(await stateOf(old), ended, column)
    t.same(await stateOf(young), open, column)
    t.same(await stateOf(other), open, 'of no other organization')
    const listed = await ours.call(`GET /api/users/${old.user.id}/sessions`)
    t.same(listed.json().data, [], 'it is not listed')
    if (before) t.equal(await set(before), 200)
  }
})

t.test('sessions tell when they end', async t => {
  const { call, user } = await organization(app)
  await call(`PATCH ${path}`, { session_idle_days: 5, session_absolute_days: 7 })
  const me = await user('user')
  const lasts = async () => {
    const [session] = (await me.call('GET /api/auth/sessions')).json().data
    return (Date.parse(session.expires_at) - Date.now()) / (day * 60_000)
  }
  t.ok(Math.abs((await lasts()) - 5) < 0.01)
  await age(app, me.user.id, 'created_at', 4 * day)
  t.ok(Math.abs((await lasts()) - 3) < 0.01)
  await call(`PATCH ${path}`, { session_idle_days: 1 })
  t.ok(Math.abs((await lasts()) - 1) < 0.01)
  await call(`PATCH ${path}`, { session_idle_days: 60, session_absolute_days: 100 })
  t.ok(Math.abs((await lasts()) - 5) < 0.01, 'longer ones count from the next refresh on')
  const { refresh_token } = me
  await caller(app)('POST /api/auth/refresh', { refresh_token })
  t.ok(Math.abs((await lasts()) - 60) < 0.01)
})

t.test('the limits have limits', async t => {
  const { call } = await organization(app)
  for (const [body, status, field] of [
    [{ session_idle_days: 0 }, 400, 'session_idle_days'],
    [{ session_absolute_days: 366 }, 400, 'session_absolute_days'],
    [{ session_idle_days: 91 }, 422, 'session_idle_days'],
    [{ session_absolute_days: 29 }, 422, 'session_idle_days'],
    [{ session_idle_days: 1.5 }, 400, 'session_idle_days'],
    [{ second_factor: 'maybe' }, 400, 'second_factor']
  ] as const)
    t.match((await call(`PATCH ${path}`, body)).json(), {
      status,
      errors: [{ pointer: `/${field}` }]
    })
  for (const body of [
    { session_idle_days: 91, session_absolute_days: 91 },
    { session_absolute_days: 365, session_idle_days: 365 },
    { session_idle_days: 1 },
    { session_absolute_days: 1 }
  ])
    t.match((await call(`PATCH ${path}`, body)).json(), body)
})

import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { PointReads } from '../../../src/core/db/point-reads.ts'
import {
  application,
  bearer,
  caller,
  login,
  organization,
  password,
  summaryOf,
  type Call
} from '../../support/app.ts'
import { documentOf } from '../../support/document.ts'

const app = await application(t)

t.test('the directory lists the active users for everybody in the organization', async t => {
  const { call, admin, user } = await organization(app)
  const viewer = await user('viewer')
  const [disabled, deleted] = [await user('user'), await user('user')]
  await call(`PATCH /api/users/${disabled.user.id}`, { status: 'disabled' })
  await call(`DELETE /api/users/${deleted.user.id}`)
  const summaries = [admin, viewer].map(({ user }) => summaryOf(user))
  const directory = async (query = '') => await viewer.call(`GET /api/users/directory${query}`)
  t.same(
    (await directory()).json(),
    { data: summaries, has_more: false, next_cursor: null },
    'sorted by name'
  )
  const first = await directory('?limit=1')
  t.match(first.json(), { data: summaries.slice(0, 1), has_more: true })
  t.equal(
    first.headers.link,
    `</api/users/directory?limit=1&cursor=${first.json().next_cursor}>; rel="next"`
  )
  t.match((await directory(`?limit=1&cursor=${first.json().next_cursor}`)).json(), {
    data: summaries.slice(1),
    has_more: false
  })
  t.match((await directory('?q=VIEW')).json(), { data: summaries.slice(1) })
  t.match((await directory('?q=example.com')).json(), { data: [] }, 'emails cannot be searched')
  t.match((await directory('?q=%20')).json(), { data: summaries })
  t.equal((await directory('?status=disabled')).statusCode, 400)
})

t.test('the wait for an unresponsive database is bounded', async t => {
  const app = await application(t, { database: {} })
  const { admin, call } = await organization(app)
  const { services } = app
  const working = services.database
  t.teardown(() => {
    services.database = working
  })
  const silent = Object.assign(
    (async () => await new Promise(() => {})) as unknown as typeof working.point,
    {
      unsafe: async () => await new Promise(() => {}),
      begin: async () => await new Promise(() => {})
    }
  )
  const pointReads = new PointReads(silent, working.pool)
  const withoutPoint = { ...working, point: silent, pointReads }
  const other = await login(app, admin.user.username)
  const { now } = performance
  t.teardown(() => {
    performance.now = now
  })
  for (const [request, database, body, who] of [
    ['POST /api/auth/login', withoutPoint, { username: 'a', password }],
    ['POST /api/auth/login', { ...working, pool: silent }, { username: 'a', password }],
    ['GET /api/auth/me', withoutPoint, undefined, caller(app, bearer(other.token))],
    ['GET /api/auth/me', withoutPoint, undefined, call],
    [
      'POST /api/auth/refresh',
      { ...working, pool: silent },
      { refresh_token: other.refresh_token }
    ],
    [
      'POST /api/auth/change-password',
      { ...working, pool: silent },
      { current_password: password, new_password: 'another harbour 48' },
      call
    ],
    ['POST /api/auth/logout', { ...working, pool: silent }, undefined, call]
  ] as [string, typeof working, object | undefined, Call | undefined][]) {
    t.equal((await call('GET /api/auth/me')).statusCode, 200)
    services.database = database
    const answer = (who ?? caller(app))(request, body)
    await sleep(100)
    performance.now = () => now.call(performance) + 10_000
    t.equal(
      await Promise.race([answer.then(({ statusCode }) => statusCode), sleep(3_000)]),
      503,
      request
    )
    performance.now = now
    services.database = working
  }
})

t.test('a partner who tries the operations from top to bottom is logged out last', async t => {
  const paths = Object.keys(documentOf(app).paths).filter(path => path.startsWith('/api/auth/'))
  t.same(
    paths.map(path => path.split('/').at(-1)),
    [
      'me',
      'login',
      'refresh',
      'token',
      'step-up',
      '{id}',
      'sessions',
      'second-factor',
      'confirmation',
      'recovery-codes',
      'accept',
      'password-resets',
      'confirm',
      'providers',
      '{organization}',
      'exchange',
      'identities',
      '{id}',
      'change-password',
      'logout'
    ]
  )
})

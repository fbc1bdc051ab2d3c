import t from 'tap'
import { application, organization } from '../support/app.ts'
import { documentOf } from '../support/document.ts'

const app = await application(t)
const { call } = await organization(app)
const lastInstant = '2026-12-31T23:59:59.9999999Z'
const truncated = '2026-12-31T23:59:59.999Z'

t.test('an instant with more digits is truncated to milliseconds, never rounded', async t => {
  for (const [due_at, stored] of [
    [lastInstant, truncated],
    ['2026-12-31T23:59:59.999999Z', truncated],
    ['2026-12-31T23:59:59.9995Z', truncated],
    ['2026-12-31T23:59:59.99951234567890123Z', truncated],
    ['2027-01-01T01:59:59.9999999+02:00', truncated],
    ['2026-12-31T18:59:59.9999999-05:00', truncated],
    ['2026-12-31T23:59:59.1234567Z', '2026-12-31T23:59:59.123Z'],
    ['2026-12-31T23:59:59.5Z', '2026-12-31T23:59:59.500Z'],
    ['9999-12-31T23:59:59.9999999Z', '9999-12-31T23:59:59.999Z']
  ] as const) {
    const body = { type: 'task', subject: 'Task', due_at }
    const created = await call('POST /api/activities', body)
    t.match([created.statusCode, created.json()], [201, { due_at: stored }], due_at)
    const { id } = created.json()
    t.equal((await call(`GET /api/activities/${id}`)).json().due_at, stored)
    const cleared = await call(`PATCH /api/activities/${id}`, { due_at: null })
    t.equal(cleared.json().due_at, null)
    t.equal((await call(`PATCH /api/activities/${id}`, { due_at })).json().due_at, stored)
    const same = await call(`PUT /api/activities/${id}`, { due_at })
    t.equal(same.json().version, 3, 'the same instant again changes nothing')
  }
})

t.test('lists with the last possible instants still page', async t => {
  const first = (await call('GET /api/activities?sort=-due_at&limit=1')).json()
  t.match(first.data[0].due_at, /^9999-12-31T23:59:59\.999Z$/)
  const next = await call(`GET /api/activities?sort=-due_at&limit=1&cursor=${first.next_cursor}`)
  t.equal(next.statusCode, 200)
  t.equal((await call('GET /api/activities?sort=due_at&limit=200')).statusCode, 200)
})

t.test('an instant whose year in UTC is not 1 to 9999 is refused', async t => {
  for (const due_at of ['9999-12-31T23:59:59.9999999-01:00', '0001-01-01T00:00:00+01:00']) {
    const refused = await call('POST /api/activities', { type: 'task', subject: 'Task', due_at })
    t.match([refused.statusCode, refused.json().errors], [400, [{ pointer: '/due_at' }]], due_at)
  }
})

t.test('filters truncate the same way', async t => {
  const count = async (query: string) =>
    (await call(`GET /api/activities?count=exact&limit=1&${query}`)).json().total as number
  const equal = await count(`due_at=${truncated}`)
  t.ok(equal >= 6, `${equal} activities`)
  t.equal(await count(`due_at=${lastInstant}`), equal)
  t.equal(await count(`due_at[gt]=${lastInstant}`), 1, 'only the last instant of all')
  t.equal(await count(`due_at[gte]=${lastInstant}`), equal + 1)
  t.equal(
    (await count(`due_at[lt]=${lastInstant}`)) + equal,
    await count(`due_at[lte]=${lastInstant}`)
  )
  const since = `active_since=${lastInstant}`
  t.equal((await call(`GET /api/contacts?${since}`)).statusCode, 200)
})

t.test('every other instant that can be sent is truncated, too', async t => {
  const past = '2026-01-31T23:59:59.9999999Z'
  const stored = '2026-01-31T23:59:59.999Z'
  const note = await call('POST /api/activities', {
    type: 'note',
    subject: 'Note',
    completed_at: past
  })
  t.equal(note.json().completed_at, stored)
  const { id } = (await call('POST /api/activities', { type: 'task', subject: 'Task' })).json()
  const completed = await call(`POST /api/activities/${id}/completion`, { completed_at: past })
  t.equal(completed.json().completed_at, stored)

  const token = { name: 'X', scopes: ['*'], expires_at: '2099-01-31T23:59:59.9999999Z' }
  t.equal((await call('POST /api/api-tokens', token)).json().expires_at, '2099-01-31T23:59:59.999Z')

  const sent = Object.entries(documentOf(app).components.schemas).flatMap(([name, schema]) =>
    /^(New|.*Changes$|Completion$)/.test(name) ? instantsOf(schema) : []
  )
  t.same(
    [...new Set(sent)].toSorted(),
    ['completed_at', 'due_at', 'expires_at'],
    'there are no others'
  )
})

const instantsOf = (schema: object) =>
  Object.entries((schema as { properties?: Record<string, { format?: string }> }).properties ?? {})
    .filter(([, { format }]) => format === 'date-time')
    .map(([field]) => field)

// A date against an instant means the whole day where the organization is, by default in UTC.
import t from 'tap'
import { application, organization } from '../../support/app.ts'

const app = await application(t)
const { call } = await organization(app)
const instants = [
  '2026-11-25T23:59:59.999Z',
  '2026-11-26T00:00:00.000Z',
  '2026-11-26T12:00:00.000Z',
  '2026-11-26T23:59:59.999Z',
  '2026-11-27T00:00:00.000Z',
  '9999-12-31T23:59:59.999Z'
]
for (const [i, due_at] of instants.entries())
  await call('POST /api/activities', { type: 'task', subject: `Task ${i}`, due_at })

/** The positions of the activities that a filter selects. */
const selected = async (filter: string) => {
  const { data } = (await call(`GET /api/activities?${filter}&sort=due_at&limit=50`)).json()
  return (data as { due_at: string }[]).map(({ due_at }) => instants.indexOf(due_at))
}

t.test('each operator takes a date as a whole day', async t => {
  for (const [filter, expected] of [
    ['due_at=2026-11-26', [1, 2, 3]],
    ['due_at[gt]=2026-11-26', [4, 5]],
    ['due_at[gte]=2026-11-26', [1, 2, 3, 4, 5]],
    ['due_at[lt]=2026-11-26', [0]],
    ['due_at[lte]=2026-11-26', [0, 1, 2, 3]],
    ['due_at[gte]=2026-11-26&due_at[lte]=2026-11-26', [1, 2, 3]],
    ['due_at[gt]=2026-11-25&due_at[lt]=2026-11-27', [1, 2, 3]],
    ['due_at=9999-12-31', [5]],
    ['due_at[lte]=9999-12-31', [0, 1, 2, 3, 4, 5]],
    ['due_at[gt]=9999-12-31', []],
    ['due_at=2026-11-26T12:00:00Z', [2]],
    ['due_at[lte]=2026-11-26T00:00:00Z', [0, 1]]
  ] as const)
    t.same(await selected(filter), expected, filter)
})

t.test('pages and totals agree', async t => {
  const seen: string[] = []
  let cursor = ''
  do {
    const page = (
      await call(`GET /api/activities?due_at=2026-11-26&limit=1&count=exact&sort=due_at${cursor}`)
    ).json()
    t.equal(page.total, 3)
    seen.push(...(page.data as { due_at: string }[]).map(({ due_at }) => due_at))
    cursor = page.next_cursor === null ? '' : `&cursor=${page.next_cursor}`
  } while (cursor !== '')
  t.same(seen, instants.slice(1, 4))
})

t.test('reports and stored filters mean the same', async t => {
  const today = new Date().toISOString().slice(0, 10)
  const report = async (filter: string) =>
    (await call(`GET /api/reports/activity?${filter}`)).json().totals[0].count as number
  t.equal(await report(`created_at=${today}`), instants.length)
  t.equal(await report(`created_at[lte]=${today}`), instants.length)
  t.equal(await report(`created_at[gt]=${today}`), 0)

  const rules = [
    { field: 'contact.created_at', operator: 'eq', value: today, points: 1 },
    { field: 'contact.created_at', operator: 'lte', value: today, points: 10 },
    { field: 'contact.created_at', operator: 'gt', value: today, points: 100 }
  ]
  const model = { name: 'Model', status: 'active', rules }
  t.equal((await call('POST /api/scoring-models', model)).statusCode, 201)
  const contact = (await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })).json()
  const lead = (await call('POST /api/leads', { contact_id: contact.id })).json()
  t.equal(lead.score, 11)
})

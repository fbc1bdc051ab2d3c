import t from 'tap'
import { application, organization } from '../../support/app.ts'
import { type Created, create, account } from './assignment.ts'

const app = await application(t)
const sql = app.services.database.pool

t.test('a territory has the accounts that match its filter, at any time', async t => {
  const { call, id: organization_id } = await organization(app)
  const other = await organization(app)
  const north = await create(call, 'territories', {
    name: 'North',
    filter: 'country[in]=Sweden,Norway'
  })
  const mills = await create(call, 'territories', {
    name: 'Mills',
    filter: 'country=Sweden&industry=Paper'
  })
  const nowhere = await create(call, 'territories', {
    name: 'Nowhere',
    filter: 'country[null]=true'
  })
  const a = await account(call, { country: 'Sweden', industry: 'Paper' })
  const b = await account(call, { country: 'Norway' })
  const c = await account(call)
  await account(other.call, { country: 'Sweden' })
  const names = (data: { name: string }[]) => data.map(({ name }) => name)
  const inside = async (id: number, query = '') =>
    (
      (await call(`GET /api/accounts?territory_id=${id}&sort=id${query}`)).json().data as Created[]
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
    'also seen from the account'
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
    'a changed account changes its territories'
  )
  const page = (await call(`GET /api/accounts?territory_id=${north.id}&limit=1`)).json()
  await call(`PATCH /api/territories/${north.id}`, { filter: 'country=Finland' })
  t.same(
    [await inside(north.id), await around(b.id)],
    [[], []],
    'a changed territory changes its accounts'
  )
  t.equal(
    (await call(`GET /api/accounts?territory_id=${north.id}&limit=1&cursor=${page.next_cursor}`))
      .statusCode,
    400,
    'a cursor of the old filter is refused'
  )

  t.same(await inside(999_999), [], 'an unknown territory has no accounts')
  t.same(
    (await other.call(`GET /api/accounts?territory_id=${nowhere.id}`)).json().data,
    [],
    'and so has one of another organization'
  )
  await call(`DELETE /api/territories/${nowhere.id}`)
  t.same([await inside(nowhere.id), await around(c.id)], [[], []], 'and a deleted one')
  t.equal((await call('GET /api/accounts/999999/territories')).statusCode, 404)
  t.equal((await other.call(`GET /api/accounts/${a.id}/territories`)).statusCode, 404)

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

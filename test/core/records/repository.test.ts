// What services use of the kit without a route of its own.
import t from 'tap'
import { Context } from '../../../src/core/access/context.ts'
import type { Filter } from '../../../src/core/records/filter.ts'
import { accountService as accounts } from '../../../src/modules/crm/accounts/service.ts'
import { accountResource } from '../../../src/modules/crm/accounts/resource.ts'
import { repository } from '../../../src/core/records/repository.ts'
import { application, organization } from '../../support/app.ts'

const app = await application(t)
const { updateMany, lock, createMany, after, positionOf, wouldMatch } = repository(accountResource)

async function newOrganization() {
  const { id, admin, call } = await organization(app)
  return {
    call,
    ctx: Context.system(app.services, id, admin.user.id)
  }
}

t.test('updateMany changes many records in one statement', async t => {
  const { ctx, call } = await newOrganization()
  const other = await newOrganization()
  await createMany(
    ctx,
    ['a', 'b', 'c', 'd'].map(name => ({ name }))
  )
  const [a, b, c, d] = (
    await accounts.list(ctx, { sort: [{ field: 'id', descending: false }] })
  ).data.map(({ id }) => id) as [number, number, number, number]
  const theirs = await accounts.create(other.ctx, { name: 'theirs' })
  await call(`GET /api/accounts/${a}`)
  await call(`PATCH /api/accounts/${b}`, { name: 'B' })
  await call(`DELETE /api/accounts/${d}`)

  const changed = await updateMany(ctx, [
    { id: a, version: 1, name: 'A', city: 'Here' },
    { id: b, version: 1, name: 'stale', city: null },
    { id: c, name: 'c', city: null },
    { id: d, name: 'deleted', city: null },
    { id: theirs.id, name: 'stolen', city: null }
  ])
  t.same(changed, [a], 'stale, unchanged, deleted and foreign records are not changed')
  t.match(
    (await call(`GET /api/accounts/${a}`)).json(),
    { name: 'A', city: 'Here', version: 2 },
    'the cache has no old entry'
  )
  t.match((await call(`GET /api/accounts/${a}/history`)).json().data[0], {
    changed: ['city', 'name'],
    actor_id: ctx.user_id
  })
  t.equal((await call(`GET /api/accounts/${b}`)).json().name, 'B')
  t.equal((await accounts.get(other.ctx, theirs.id)).name, 'theirs')
  t.same(await updateMany(ctx, []), [])
})

t.test('a locked record is not changed by others until the transaction ends', async t => {
  const { ctx } = await newOrganization()
  const { id } = await accounts.create(ctx, { name: 'a', employee_count: 0 })
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      await ctx.transaction(async ctx => {
        const { employee_count } = await lock(ctx, id)
        await accounts.update(ctx, id, { employee_count: employee_count! + 1 })
      })
    })
  )
  t.equal((await accounts.get(ctx, id)).employee_count, 20)
  await t.rejects(
    ctx.transaction(async ctx => await lock(ctx, 999_999)),
    /No such account/
  )
})

t.test('a list continues after any of its rows', async t => {
  const { ctx } = await newOrganization()
  await createMany(
    ctx,
    Array.from({ length: 10 }, (_, i) => ({ name: `n${i % 3}` }))
  )
  const sort = [{ field: 'name', descending: false }]
  const all = await after(ctx, { sort }, 100)
  t.equal(all.length, 10)
  for (const [i, row] of all.entries())
    t.same(await after(ctx, { sort }, 3, positionOf(row, sort)), all.slice(i + 1, i + 4))
})

t.test('wouldMatch predicts the filters that a stored record matches', async t => {
  const { ctx } = await newOrganization()
  const any = <T>(...values: T[]): T => values[Math.floor(Math.random() * values.length)]!
  const random = (): Filter =>
    any<() => Filter>(
      () => ({ field: 'industry', operator: 'eq', value: any('Food', 'Media') }),
      () => ({
        field: 'country',
        operator: 'in',
        value: [any('Spain', 'France'), any('Poland', 'Brazil')]
      }),
      () => ({ field: 'name', operator: 'like', value: any('MULL', 'ü', 'corp', 'x') }),
      () => ({
        field: 'annual_revenue',
        operator: any('gt', 'gte', 'lt', 'lte'),
        value: any(0, 100.5, 1000)
      }),
      () => ({ field: 'employee_count', operator: 'null', value: any(true, false) }),
      () => ({ field: 'status', operator: 'eq', value: any('active', 'inactive') }),
      () => ({ field: 'type', operator: 'eq', value: any('prospect', 'customer') })
    )()
  let met = 0
  for (let i = 0; i < 40; i++) {
    const record = {
      name: any('Müller Corp', 'Muller', 'Example'),
      ...any({}, { industry: any('Food', 'Media') }),
      ...any({}, { country: any('Spain', 'Poland') }),
      ...any({}, { annual_revenue: any(0, 100.5, 5000) }),
      ...any({}, { employee_count: 5 }),
      ...any({}, { type: 'customer' as const })
    }
    const sets = Array.from({ length: 10 }, () => Array.from({ length: any(0, 1, 2) }, random))
    const would = await wouldMatch(ctx, record, sets)
    const { id } = await accounts.create(ctx, record)
    for (const [j, filters] of sets.entries()) {
      const { data } = await accounts.list(ctx, {
        filters: [...filters, { field: 'id', operator: 'eq', value: id }]
      })
      if (would[j] !== (data.length === 1)) t.fail(JSON.stringify({ record, filters }))
      met += data.length
    }
  }
  t.ok(met > 20 && met < 380, `${met} of 400`)
})

t.test('a result after one that failed midway is complete', async t => {
  const { call } = await newOrganization()
  const { pool } = app.services.database
  await call('POST /api/accounts', { name: 'Only' })
  // on every connection of the pool, so that whichever comes next has met it
  await Promise.all(
    Array.from(
      { length: 16 },
      async () =>
        await t.rejects(pool.unsafe('select g, 1 / (500 - g) from generate_series(1, 1000) g'))
    )
  )
  for (const answer of await Promise.all(
    Array.from({ length: 16 }, async () => await call('GET /api/accounts?limit=2'))
  )) {
    t.match([answer.statusCode, answer.json().data], [200, [{ name: 'Only' }]])
  }
})

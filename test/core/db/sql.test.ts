import type { SQL } from 'drizzle-orm'
import t from 'tap'
import { Context } from '../../../src/core/access/context.ts'
import { sql } from '../../../src/core/db/drizzle.ts'
import { assertLockOrder, lockOrder } from '../../../src/core/db/locks.ts'
import { ours, oursWithDeleted } from '../../../src/core/db/sql.ts'
import { leads } from '../../../src/modules/crm/leads/table.ts'
import { opportunities } from '../../../src/modules/sales/opportunities/table.ts'
import { application, organization } from '../../support/app.ts'
import { analyze } from '../../support/plans.ts'

const app = await application(t)
const mine = await organization(app)
const others = await organization(app)
const ctx = Context.system(app.services, mine.id)
for (const { id } of [mine, others]) {
  await app.services.database.pool`
    insert into leads (organization_id, source, deleted_at)
      select ${id}, 'source ' || n % 300, case when n % 10 = 0 then now() end
      from generate_series(1, 5000) n`
}
await analyze(app)

const planOf = async (query: SQL) =>
  (await ctx.rows<{ 'QUERY PLAN': string }>(sql`explain (costs off) ${query}`))
    .map(row => row['QUERY PLAN'])
    .join('\n')

t.test('ours() has the rows of the organization that are not deleted', async t => {
  t.equal(await ctx.count(sql`from ${ours(leads)}`), 4500)
  t.equal(await ctx.count(sql`from ${oursWithDeleted(leads)}`), 5000)
})

t.test('Postgres inlines ours(): the plan is that of a condition', async t => {
  const organization = sql`${mine.id}::bigint`
  const withTable = await planOf(sql`select leads.id from ${ours(leads)}
    where leads.source = 'source 7' order by leads.id desc limit 50`)
  const withCondition = await planOf(sql`select leads.id from leads
    where organization_id = ${organization} and deleted_at is null
      and leads.source = 'source 7' order by leads.id desc limit 50`)
  t.match(withTable, /Index/, withTable)
  t.notMatch(withTable, /Subquery Scan|Seq Scan/, 'it reads an index of the table')
  // Postgres names the table of a column where a query has a subquery, inlined or not
  const unqualified = (plan: string) => plan.replaceAll('leads.', '')
  t.equal(unqualified(withTable), unqualified(withCondition), 'the same plan')
})

t.test('Postgres inlines ours() in a join', async t => {
  const organization = sql`${mine.id}::bigint`
  const withTables = await planOf(sql`select o.id from ${ours(opportunities, 'o')}
    join ${ours(leads, 'l')} on l.id = o.lead_id where l.source = 'source 7'`)
  const withConditions = await planOf(sql`select o.id from opportunities o
    join leads l on l.id = o.lead_id and l.organization_id = ${organization}
      and l.deleted_at is null
    where l.source = 'source 7' and o.organization_id = ${organization} and o.deleted_at is null`)
  // the aliases within the subqueries differ
  const withoutAliases = (plan: string) =>
    plan.replaceAll(/\b(leads|opportunities|o|l)(_\d)?\b/g, 't').replaceAll(' on t t', ' on t')
  t.equal(withoutAliases(withTables), withoutAliases(withConditions), 'the same plan')
})

t.test('locks are taken in their declared order only', async t => {
  const [first, second] = [lockOrder[0], lockOrder[1]]
  t.doesNotThrow(() => {
    assertLockOrder([first], second)
  })
  t.throws(() => {
    assertLockOrder([second], first)
  }, /is taken after/)
  t.throws(() => {
    assertLockOrder([`${first}:shared`], first)
  }, 'an upgrade could wait for itself')
  await t.rejects(
    ctx.withLocks([second], async ctx => {
      await ctx.withLocks([first], async () => {})
    }),
    /is taken after/,
    'a transaction that breaks the order fails in tests'
  )
  await ctx.withLocks([second, first], async () => {
    t.pass('locks given in another order are sorted')
  })
})

t.test('locks with keys are taken in the order of their keys, and exclude equal keys', async t => {
  const last = lockOrder.at(-1)!
  t.doesNotThrow(() => {
    assertLockOrder([lockOrder[0], `${last}/a`], `${last}/b`)
  })
  t.throws(() => {
    assertLockOrder([`${last}/b`], `${last}/a`)
  }, /is taken after/)
  await ctx.withLocks([`${last}/b:shared/c`, `${last}/a`, `${last}/a`], async ctx => {
    await ctx.withLocks([`${last}/a`], async () => {
      t.pass('keys given in another order are sorted, and one that is held is not waited for')
    })
  })
  const isFree = async (ctx: Context, key: string) =>
    (await ctx.one<{ free: boolean }>(sql`select pg_try_advisory_xact_lock(
        hashtextextended(${`${last}/${key}`}, ${ctx.organization_id})) as free`))!.free
  await ctx.withLocks([`${last}/a`], async () => {
    t.equal(await isFree(ctx, 'a'), false)
    t.equal(await isFree(ctx, 'b'), true)
    t.equal(await isFree(Context.system(app.services, others.id), 'a'), true)
  })
})

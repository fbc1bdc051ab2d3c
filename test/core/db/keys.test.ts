import t from 'tap'
import { domainToASCII } from 'node:url'
import { application, ownerOf } from '../../support/app.ts'

const app = await application(t)
const sql = ownerOf(app)
const keyOf = async (email: string) => {
  const [row] = await sql<{ key: string }[]>`select email_key(${email}) as key`
  return row!.key
}

t.test('an index on the key can be built and analyzed with any search path', async t => {
  await sql`insert into contacts (organization_id, first_name, last_name, email)
    values (1, 'A', 'B', 'x@bücher.example')`
  await sql`reindex index idx_contacts_email`
  await sql`analyze contacts`
  const connection = await sql.reserve()
  await connection`set search_path = ''`
  const [row] = await connection<{ key: string }[]>`
    select public.email_key('X@bücher.example') as key`
  await connection`reset search_path`
  connection.release()
  t.equal(row!.key, 'x@xn--bcher-kva.example')
})

t.test('the key of an email address has no case and an ASCII domain', async t => {
  t.equal(await keyOf('Zoe.Quux@Example.ORG'), 'zoe.quux@example.org')
  t.equal(await keyOf('info@xn--mller-kva.example'), 'info@xn--mller-kva.example')
  t.equal(await keyOf('Jörg@müller.example'), 'jörg@xn--mller-kva.example')
  for (const domain of [
    'müller.example',
    'MÜLLER.Example',
    'mu\u0308ller.example',
    'bücher.例え.jp',
    'пример.испытание',
    'παράδειγμα.δοκιμή',
    '北京字节跳动科技.公司',
    'مثال.إختبار',
    'straße.de',
    'a.b。c.ü',
    'ＥＸＡＭＰＬＥ.com',
    'ünï-cødé-ლ.example',
    'xn--mller-kva.müller.example'
  ])
    t.equal(await keyOf(`a@${domain}`), `a@${domainToASCII(domain)}`, domain)
})

t.test('every expression that an index is on has statistics', async t => {
  const unmeasured = async () =>
    (
      await sql<{ key: string }[]>`
        select distinct i.indrelid::regclass || ': ' || key as key
        from pg_index i
        join pg_class c on c.oid = i.indexrelid and c.relnamespace = 'public'::regnamespace
        cross join generate_series(1, i.indnkeyatts) place
        cross join pg_get_indexdef(i.indexrelid, place, false) key
        where i.indkey[place - 1] = 0 and not exists (
          select from pg_statistic_ext s
          where s.stxrelid = i.indrelid and trim('()' from key) = any(array(
            select trim('()' from measured)
            from unnest(pg_get_statisticsobjdef_expressions(s.oid)) measured)))`
    ).map(({ key }) => key)
  t.same(await unmeasured(), [])
  await sql`create index on contacts (upper(last_name)) where deleted_at is null`
  t.same(
    await unmeasured(),
    ['contacts: upper((last_name)::text)'],
    'a migration that forgets them'
  )
  await sql`call measure_indexed_keys()`
  t.same(await unmeasured(), [])
})

t.test('a frequent value of a list is known to be one', async t => {
  await sql`insert into activities (organization_id, type, subject)
    select 1, case when n % 100 = 0 then 'call' else 'task' end, 'A'
    from generate_series(1, 2000) n`
  await sql`analyze activities`
  const estimate = async (type: string) => {
    const [plan] = await sql.unsafe<{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] }[]>(
      `explain (format json) select * from activities where organization_id = 1
       and deleted_at is null and array_position(
         array['call', 'email', 'meeting', 'task', 'note']::text[], type::text) =
       array_position(array['call', 'email', 'meeting', 'task', 'note']::text[], '${type}')`
    )
    return plan!['QUERY PLAN'][0].Plan['Plan Rows']
  }
  t.ok((await estimate('task')) > 1000)
  t.ok((await estimate('call')) < 200)
})

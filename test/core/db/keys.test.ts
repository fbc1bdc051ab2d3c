import t from 'tap'
import { domainToASCII } from 'node:url'
import { application } from '../../support/app.ts'

const app = await application(t)
const sql = app.services.database.pool
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

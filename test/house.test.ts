// The rules of the house: what imports what, who writes, and that nothing is forgotten.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { application } from './helper.ts'
import { statementsIn } from './statements.ts'

const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter(file => file.endsWith('.ts'))
  .map(file => file.replaceAll(path.sep, '/'))
const text = (file: string) => readFileSync(`src/${file}`, 'utf8')
const importsOf = (file: string) =>
  [...text(file).matchAll(/(?:from|import\() ?'(\.[^']+)'/g)].map(([, to]) =>
    path.posix.join(path.posix.dirname(file), to!)
  )
const rooms = readdirSync('src/resources')

t.test('the kit knows no resource and no plugin', async t => {
  for (const file of files.filter(file => file.startsWith('kit/')))
    t.notOk(
      importsOf(file).some(to => !to.startsWith('kit/')),
      file
    )
})

t.test('a resource reaches another only through its service, its table or its schema', async t => {
  for (const file of files.filter(file => file.startsWith('resources/'))) {
    const room = file.split('/')[1]!
    const elsewhere = importsOf(file).filter(
      to => to.startsWith('resources/') && to.split('/')[1] !== room
    )
    for (const to of elsewhere) t.match(to, /(service|table|schema)\.ts$/, `${file} → ${to}`)
  }
})

t.test(
  'workers know what can be done and nothing of HTTP, and only the process and the tests know them',
  async t => {
    for (const file of files.filter(file => file.startsWith('workers/')))
      for (const to of importsOf(file))
        t.match(to, /^(kit|workers)\/|service\.ts$/, `${file} → ${to}`)
    for (const file of files.filter(file => file !== 'main.ts' && !file.startsWith('workers/')))
      t.notMatch(importsOf(file).join(), /workers\//, file)
  }
)

t.test('a table knows columns, roles and other tables', async t => {
  for (const file of files.filter(file => file.endsWith('/table.ts')))
    for (const to of importsOf(file))
      t.match(to, /(kit\/(columns|access|drizzle)|table)\.ts$/, `${file} → ${to}`)
})

t.test('only the kit writes records', async t => {
  const records = rooms.filter(
    room =>
      readdirSync(`src/resources/${room}`).includes('table.ts') &&
      text(`resources/${room}/table.ts`).includes('...record()')
  )
  t.ok(records.length >= 5)
  const writes = new RegExp(
    `(insert into|update|delete from) "?(${records.join('|')})\\b|\\.(insert|update|delete)\\((${records.join('|')})\\b`
  )
  for (const file of files.filter(file => !file.startsWith('kit/')))
    t.notMatch(text(file), writes, file)
})

t.test("a plain resource is small: what it takes beyond its fields is the kit's", async t => {
  for (const room of ['tags', 'territories']) {
    const counts = ['table', 'schema', 'service', 'routes'].map(part =>
      statementsIn(text(`resources/${room}/${part}.ts`))
    )
    t.ok(
      counts.reduce((sum, count) => sum + count) < 50,
      `${room}: ${counts.join(' + ')} statements`
    )
  }
})

t.test('the environment is read in one place', async t => {
  for (const file of files.filter(file => file !== 'config.ts'))
    t.notMatch(text(file), /process\.env/, file)
})

t.test('every room with routes has its line in the contents page', async t => {
  for (const room of rooms.filter(room =>
    readdirSync(`src/resources/${room}`).includes('routes.ts')
  ))
    t.match(text('app.ts'), `./resources/${room}/routes.ts`)
})

t.test(
  'a route that names no permission and does not say it is public stops the start',
  async t => {
    const app = await application(t, { database_url: 'postgres://nobody@localhost/none' })
    // a started application takes no routes at all, so the hook is asked as Fastify would ask it
    t.throws(() => {
      app.get('/forgotten', async () => '')
    })
  }
)

t.test('every record table writes its events, and has an index on each foreign key', async t => {
  const app = await application(t)
  const sql = app.house.database.pool
  const tables = await sql<{ name: string; watched: boolean }[]>`
    select c.table_name as name, count(distinct t.trigger_name) = 3 as watched from information_schema.columns c
    left join information_schema.triggers t on t.event_object_table = c.table_name and t.trigger_name like 'events_of_%'
    where c.table_schema = 'public' and c.column_name = 'deleted_at' group by 1`
  t.ok(tables.length >= 5)
  for (const { name, watched } of tables) t.ok(watched, name)
  const unindexed = await sql`
    select con.conname from pg_constraint con where con.contype = 'f' and con.connamespace = 'public'::regnamespace and not exists (
      select from pg_index i where i.indrelid = con.conrelid and (i.indkey::int2[])[0:cardinality(con.conkey) - 1] @> con.conkey)`
  t.same(unindexed, [])
})

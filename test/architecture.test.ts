// The rules of the code: what imports what, who writes, and that nothing is forgotten.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { application } from './support/app.ts'
import { statementsIn } from './support/statements.ts'

const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter(file => file.endsWith('.ts'))
  .map(file => file.replaceAll(path.sep, '/'))
const text = (file: string) => readFileSync(`src/${file}`, 'utf8')
const importsOf = (file: string) =>
  [...text(file).matchAll(/(?:from|import\() ?'(\.[^']+)'/g)].map(([, to]) =>
    path.posix.join(path.posix.dirname(file), to!)
  )
/** The domains, from the top down: a service imports services of its own domain and of those after it. */
const domains = ['reporting', 'marketing', 'sales', 'crm', 'automation', 'identity']
/** Folders of resources, as `crm/contacts`. */
const folders = domains.flatMap(domain =>
  readdirSync(`src/modules/${domain}`).map(name => `${domain}/${name}`)
)
const filesOf = (folder: string) => readdirSync(`src/modules/${folder}`)
/** `crm/contacts` of `modules/crm/contacts/service.ts`; undefined outside of modules. */
const folderOf = (file: string) => /^modules\/(\w+\/[\w-]+)\//.exec(file)?.[1]
const inModules = files.filter(file => folderOf(file) !== undefined)

t.test('core imports nothing but core', async t => {
  for (const file of files.filter(file => file.startsWith('core/')))
    t.notOk(
      importsOf(file).some(to => !to.startsWith('core/')),
      file
    )
})

t.test('a resource reaches another only through its service, its table or its schema', async t => {
  for (const file of inModules) {
    const elsewhere = importsOf(file).filter(
      to => folderOf(to) !== undefined && folderOf(to) !== folderOf(file)
    )
    for (const to of elsewhere) t.match(to, /(service|table|schema)\.ts$/, `${file} → ${to}`)
  }
})

t.test('the domains are those that are listed', async t => {
  t.same(readdirSync('src/modules').toSorted(), domains.toSorted())
})

t.test(
  'jobs know services and nothing of HTTP, and only the process and tests know them',
  async t => {
    for (const file of files.filter(file => file.startsWith('jobs/')))
      for (const to of importsOf(file))
        t.match(to, /^(core|jobs)\/|service\.ts$/, `${file} → ${to}`)
    for (const file of files.filter(file => file !== 'main.ts' && !file.startsWith('jobs/')))
      t.notMatch(importsOf(file).join(), /(^|,)jobs\//, file)
  }
)

t.test('a table knows columns, permissions and other tables', async t => {
  for (const file of files.filter(file => file.endsWith('/table.ts')))
    for (const to of importsOf(file))
      t.match(to, /(core\/(db\/|access\/permissions)|table\.ts$)/, `${file} → ${to}`)
})

t.test('only core writes records', async t => {
  const tables = folders
    .filter(folder => filesOf(folder).includes('table.ts'))
    .map(folder => text(`modules/${folder}/table.ts`))
    .flatMap(source =>
      [...source.matchAll(/pgTable\(\s*'(\w+)',\s*\{\s*\.\.\.record\(\)/g)].map(([, name]) => name!)
    )
  t.ok(tables.length >= 5, `${tables.length} record tables`)
  const writes = new RegExp(
    `(insert into|update|delete from) "?(${tables.join('|')})\\b|\\.(insert|update|delete)\\((${tables.join('|')})\\b`
  )
  for (const file of files.filter(file => !file.startsWith('core/')))
    t.notMatch(text(file), writes, file)
})

t.test('a plain resource is small', async t => {
  for (const folder of ['crm/tags', 'automation/territories']) {
    const counts = filesOf(folder).map(file => statementsIn(text(`modules/${folder}/${file}`)))
    t.ok(
      counts.reduce((sum, count) => sum + count) < 50,
      `${folder}: ${counts.join(' + ')} statements`
    )
  }
})

t.test('the environment is read in one place', async t => {
  for (const file of files.filter(file => file !== 'config.ts'))
    t.notMatch(text(file), /process\.env/, file)
})

t.test('every resource with routes has its line in app.ts', async t => {
  for (const folder of folders.filter(folder => filesOf(folder).includes('routes.ts')))
    t.match(text('app.ts'), `./modules/${folder}/routes.ts`, folder)
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
  const sql = app.services.database.pool
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

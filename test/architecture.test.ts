// The rules of the code: what imports what, who writes, and that nothing is forgotten.
import { readdirSync, readFileSync } from 'node:fs'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { allResources, referencesOf } from '../src/core/records/resource.ts'
import { resourceRoutes } from '../src/core/http/resource-routes.ts'
import { tagResource } from '../src/modules/crm/tags/resource.ts'
import { tagService } from '../src/modules/crm/tags/service.ts'
import { application, type App } from './support/app.ts'
import { hiddenColumnMistakes } from './support/hidden.ts'
import {
  filesBelow,
  functionLengthsIn,
  importsOf,
  sourceOf,
  statementsIn,
  templatesIn,
  wordsInStrings
} from './support/sources.ts'

/**
 * The domains, from the top down: a service imports services of its own domain or of later ones.
 */
const domains = [
  'reporting',
  'integrations',
  'marketing',
  'sales',
  'crm',
  'automation',
  'operations',
  'identity'
]
/** What any domain may import of another one, in any direction. */
const shared = /\/(table|schema|resource)\.ts$/

const files = filesBelow('src')
/** Folders of resources, as `crm/contacts`. */
const folders = domains.flatMap(domain =>
  readdirSync(`src/modules/${domain}`).map(name => `${domain}/${name}`)
)
const filesOf = (folder: string) => readdirSync(`src/modules/${folder}`)
const inModules = files.filter(file => file.startsWith('modules/'))
const domainOf = (file: string) => /^modules\/(\w+)\//.exec(file)?.[1]
/** The text of the SQL in a file: template literals only, or prose would count. */
const templatesOf = (file: string) => templatesIn(sourceOf(file), 'sql')

t.test('core imports nothing but core', async t => {
  for (const file of files.filter(file => file.startsWith('core/')))
    for (const to of importsOf(file)) t.match(to, /^core\//, `${file} → ${to}`)
})

t.test('modules import core and each other', async t => {
  for (const file of inModules)
    for (const to of importsOf(file)) t.match(to, /^(core|modules)\//, `${file} → ${to}`)
})

/** Names of resources that are terms of core, too: of access, and the entity tag of HTTP. */
const otherTerms = new Set(['user', 'role', 'roles', 'team', 'teams', 'tag'])

t.test('core names no resource, not even in a string', async t => {
  await application(t, { database_url: 'postgres://nobody@localhost/none' })
  const names = allResources().flatMap(({ name, plural, path }) => [name, plural, path])
  t.ok(names.length > 40, `${names.length} names`)
  for (const file of files.filter(file => file.startsWith('core/'))) {
    const words = wordsInStrings(sourceOf(file))
    const named = names.filter(name => words.has(name) && !otherTerms.has(name))
    t.same(named, [], file)
  }
})

t.test('the domains are those that are listed', async t => {
  t.same(readdirSync('src/modules').toSorted(), domains.toSorted())
})

t.test(
  'services import only downwards, tables, schemas and resources in any direction',
  async t => {
    for (const file of inModules) {
      const own = domains.indexOf(domainOf(file)!)
      for (const to of importsOf(file)) {
        const domain = domainOf(to)
        if (domain === undefined || shared.test(to)) continue
        t.ok(domains.indexOf(domain) >= own, `${file} → ${to} goes down`)
        if (domains.indexOf(domain) !== own)
          t.match(to, /\/service\.ts$/, `${file} → ${to} is a service`)
      }
    }
  }
)

t.test('tables, schemas and resources do not depend on services', async t => {
  for (const file of inModules.filter(file => shared.test(file)))
    for (const to of importsOf(file)) t.notMatch(to, /\/(service|routes)\.ts$/, `${file} → ${to}`)
})

t.test('no file imports itself, directly or through others', async t => {
  const done = new Set<string>()
  const visit = (file: string, trail: string[]): void => {
    if (trail.includes(file)) return void t.fail([...trail, file].join(' → '))
    if (done.has(file) || !files.includes(file)) return
    for (const to of valueImportsOf(file)) visit(to, [...trail, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
  t.equal(done.size, files.length, 'all files were visited')
})

/** Imports that exist at run time. */
const valueImportsOf = (file: string) => {
  const types = [...sourceOf(file).matchAll(/import type [^']*'(\.[^']+)'/g)].map(([, to]) => to)
  return importsOf(file).filter(
    to => !types.some(type => to.endsWith(type!.replaceAll('../', '').replace('./', '')))
  )
}

t.test('jobs use services and nothing of HTTP; only the process and tests use jobs', async t => {
  for (const file of files.filter(file => file.startsWith('jobs/')))
    for (const to of importsOf(file)) t.match(to, /^(core|jobs)\/|service\.ts$/, `${file} → ${to}`)
  for (const file of files.filter(file => file !== 'main.ts' && !file.startsWith('jobs/')))
    t.notMatch(importsOf(file).join(), /(^|,)jobs\//, file)
})

t.test('a table knows columns, roles and other tables', async t => {
  for (const file of files.filter(file => file.endsWith('/table.ts')))
    for (const to of importsOf(file))
      t.match(to, /(core\/(db\/|access\/(permissions|networks))|table\.ts$)/, `${file} → ${to}`)
})

t.test('services know no HTTP, routes no SQL', async t => {
  for (const file of inModules.filter(file => file.endsWith('/service.ts')))
    t.notMatch(sourceOf(file), /from 'fastify'|FastifyRequest/, file)
  for (const file of inModules.filter(file => file.endsWith('/routes.ts')))
    t.notMatch(sourceOf(file), /drizzle\.ts'|db\/sql\.ts'/, file)
})

/** The record tables: their names in SQL, and in code. */
const tables = inModules
  .filter(file => file.endsWith('/table.ts'))
  .flatMap(file =>
    [
      ...sourceOf(file).matchAll(
        /export const (\w+) = pgTable\(\s*'(\w+)',\s*\{\s*\.\.\.record\(\)/g
      )
    ].map(([, variable, name]) => ({ variable: variable!, name: name! }))
  )

t.test('only core writes records', async t => {
  t.ok(tables.length >= 15, `${tables.length} record tables`)
  const names = tables.flatMap(({ variable, name }) => [name, `\\$\\{${variable}\\}`]).join('|')
  const writes = new RegExp(`\\b(insert into|update|delete from)\\s+"?(${names})`, 'i')
  for (const file of files.filter(file => !file.startsWith('core/')))
    for (const sql of templatesOf(file)) t.notMatch(sql, writes, file)
})

t.test('no SQL in modules reads a record table without its organization', async t => {
  const names = tables.flatMap(({ variable, name }) => [`${name}\\b`, `\\$\\{${variable}\\}`])
  const bare = new RegExp(`\\b(from|join)\\s+"?(${names.join('|')})`, 'i')
  t.match('select 1 from ${leads} where', bare, 'a bare table would be found')
  t.match('join contacts c on', bare, 'and so would its name')
  for (const file of inModules) for (const sql of templatesOf(file)) t.notMatch(sql, bare, file)
})

t.test("postgres.js's own tag is only used in core/db, for migrations and at boot", async t => {
  for (const file of files.filter(file => !/^(core\/db|bootstrap)\//.test(file)))
    t.notMatch(sourceOf(file), /(pool|point|connection|client)(<[^`]*>)?`/, file)
})

t.test('the environment is read in one place', async t => {
  for (const file of files.filter(file => file !== 'config.ts'))
    t.notMatch(sourceOf(file), /process\.env/, file)
})

t.test('files, functions and lines are short', async t => {
  for (const file of files) {
    const source = sourceOf(file)
    const longest = Math.max(0, ...functionLengthsIn(source))
    t.ok(longest <= 80, `the longest function of ${file} has ${longest} of 80 lines`)
  }
  for (const folder of ['src', 'test', 'scripts'])
    for (const file of filesBelow(folder)) {
      const lines = readFileSync(`${folder}/${file}`, 'utf8').split('\n')
      t.ok(lines.length <= 400, `${folder}/${file} has ${lines.length} of 400 lines`)
      const long = lines.findIndex(line => line.length > 100 && !/https?:/.test(line))
      t.equal(long, -1, `${folder}/${file}:${long + 1} has more than 100 columns`)
    }
})

t.test('a plain resource is small', async t => {
  for (const folder of ['crm/tags', 'automation/territories']) {
    const counts = filesOf(folder).map(file => statementsIn(sourceOf(`modules/${folder}/${file}`)))
    const sum = counts.reduce((total, count) => total + count)
    t.ok(sum < 60, `${folder} has ${counts.join(' + ')} statements`)
  }
})

t.test('every resource with routes has its line in app.ts, below its own path', async t => {
  for (const folder of folders.filter(folder => filesOf(folder).includes('routes.ts')))
    t.match(sourceOf('app.ts'), `./modules/${folder}/routes.ts`, folder)
  await application(t, { database_url: 'postgres://nobody@localhost/none' })
  for (const { path, schema } of allResources())
    if (schema) t.match(sourceOf('app.ts'), `prefix: '/api/${path}'`, path)
})

t.test('what names no permission, or one that is not defined, stops the start', async t => {
  const config = { database_url: 'postgres://nobody@localhost/none' }
  const start = async (extend: (app: App) => Promise<void>) =>
    await application(t, config, undefined, extend)
  await t.rejects(
    start(async app => void app.get('/forgotten', async () => '')),
    /declares neither a permission nor that it is public/
  )
  const misspelled = { config: { permission: 'contact:read' } }
  await t.rejects(
    start(async app => void app.get('/misspelled', misspelled, async () => '')),
    /the permission contact:read is not defined/
  )
  const related = {
    of: tagResource,
    reads: [],
    schema: Type.Object({}),
    permission: 'stage:read',
    load: async () => new Map<number, object[]>()
  }
  await t.rejects(
    start(async app => void (await resourceRoutes(app, tagResource, tagService, { related }))),
    /the permission stage:read is not defined/,
    'of related records'
  )
})

t.test('columns are hidden in rows and in events, or described', async t => {
  const app = await application(t)
  const sql = app.services.database.pool
  t.same(await hiddenColumnMistakes(sql), [])
  const [{ count } = { count: 0 }] = await sql<{ count: number }[]>`
    select count(*) as count from information_schema.columns
    where table_schema = 'public' and column_name = 'deleted_at'`
  t.equal(allResources().length, count, 'every record table has a resource')
})

t.test('the database has an index for each foreign key', async t => {
  const app = await application(t)
  const unindexed = await app.services.database.pool`
    select con.conname from pg_constraint con
    where con.contype = 'f' and con.connamespace = 'public'::regnamespace and not exists (
      select from pg_index i where i.indrelid = con.conrelid
        and (i.indkey::int2[])[0:cardinality(con.conkey) - 1] @> con.conkey)`
  t.same(unindexed, [])
})

t.test('definitions know every foreign key between records that the database has', async t => {
  const app = await application(t)
  const keys = await app.services.database.pool<{ table: string; column: string }[]>`
    select con.conrelid::regclass::text as table, a.attname as column
    from pg_constraint con
    join pg_attribute a on a.attrelid = con.conrelid
    and a.attnum = con.conkey[array_length(con.conkey, 1)]
    where con.contype = 'f' and con.connamespace = 'public'::regnamespace
      and con.confrelid in (select c.oid from pg_class c join pg_attribute d on d.attrelid = c.oid
        where d.attname = 'deleted_at')`
  const known = allResources()
    .flatMap(referencesOf)
    .map(({ column }) => column.name)
  const noRecords = [
    'sessions',
    'password_resets',
    'team_turns',
    'external_identities',
    'deliveries'
  ]
  const missing = keys.filter(
    // tables that are no records, and the stage of an opportunity, which is a key and not an ID
    ({ table, column }) =>
      ![...noRecords, 'sign_ins', 'sign_in_codes'].includes(table) &&
      column !== 'stage' &&
      !known.includes(column)
  )
  t.same(missing, [])
})

// The application connects as a role that owns nothing, on any Postgres.
import { readFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { embeddedRole } from '../../src/bootstrap/application-role.ts'
import { socketUrl, startEmbeddedPostgres } from '../../src/bootstrap/embedded-postgres.ts'
import { createFirstAdmin } from '../../src/bootstrap/first-admin.ts'
import { migrate } from '../../src/bootstrap/migrations.ts'
import { closeServices, createServices } from '../../src/services.ts'
import {
  application,
  bearer,
  database,
  databaseUrl,
  organization,
  ownerOf,
  secret,
  settingsOf
} from '../support/app.ts'
import { folder, run, start } from '../support/process.ts'

const admin = { username: 'admin@example.com', password: 'a quiet harbour 47' }
const ADMIN_PASSWORD = admin.password
const contact = { first_name: 'A', last_name: 'B' }

function connect(t: Test, url: string) {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  return sql
}

/** What a role owns or may do that it should not, in words; from the catalog, whatever is in it. */
async function excesses(sql: postgres.Sql, role: string): Promise<string[]> {
  const found = await sql<{ excess: string }[]>`
    with role as (select * from pg_roles where rolname = ${role})
    select 'attributes' as excess from role
      where rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls
    union all select 'member of ' || roleid::regrole from pg_auth_members, role
      where member = role.oid
    union all select 'owns ' || pg_describe_object(classid, objid, 0) from pg_shdepend, role
      where refclassid = 'pg_authid'::regclass and refobjid = role.oid and deptype = 'o'
    union all select 'creates in ' || nspname from pg_namespace
      where has_schema_privilege(${role}, oid, 'CREATE')
    union all select 'creates in the database' from pg_database
      where datname = current_database() and has_database_privilege(${role}, oid, 'CREATE')
    union all select format('%s of %s', privilege, c.oid::regclass)
      from pg_class c, unnest(array['TRUNCATE', 'REFERENCES', 'TRIGGER']) privilege
      where relkind in ('r', 'p') and has_table_privilege(${role}, c.oid, privilege)
    union all select format('%s of %s', privilege, c.oid::regclass)
      from pg_class c, unnest(array['INSERT', 'UPDATE', 'DELETE']) privilege
      where c.oid in ('events'::regclass, 'drizzle.__drizzle_migrations'::regclass)
        and has_any_column_privilege(${role}, c.oid, 'INSERT, UPDATE')`
  return found.map(({ excess }) => excess)
}

t.test('the application owns nothing, is no superuser and may create in no schema', async t => {
  const app = await application(t)
  const sql = ownerOf(app)
  t.same(await excesses(sql, embeddedRole), [])
  await sql`create schema theirs`
  await sql.unsafe(`grant create on schema theirs to ${embeddedRole};
    grant insert (type) on events to ${embeddedRole}; grant truncate on tags to ${embeddedRole}`)
  t.match(
    (await excesses(sql, embeddedRole)).toSorted(),
    ['DELETE of events', 'INSERT of events', 'TRUNCATE of tags', 'UPDATE of events', /theirs/],
    'it would be found'
  )
})

t.test(
  "the application's role cannot create, alter or drop, nor change or delete an event",
  async t => {
    const app = await application(t)
    const { call } = await organization(app)
    const { id } = (await call('POST /api/contacts', contact)).json()
    t.equal((await call(`GET /api/contacts/${id}/history`)).json().data.length, 1)
    const sql = app.services.database.pool
    const user = (await sql`select current_user as name, session_user as login`)[0]
    t.same(user, { name: embeddedRole, login: embeddedRole })
    for (const statement of [
      'create table mine (id int)',
      'create schema mine',
      'create function mine() returns int language sql as $$ select 1 $$',
      'create extension hstore',
      'create role mine',
      'create index on contacts (phone)',
      'create trigger mine before insert on contacts execute function record_events()',
      'create policy mine on contacts using (true)',
      'alter table contacts add column mine int',
      'alter table contacts disable trigger user',
      'alter function record_events() security invoker',
      `alter role ${embeddedRole} superuser`,
      "comment on table contacts is 'mine'",
      'drop table events',
      'drop function record_events() cascade',
      'drop schema graphile_worker cascade',
      'truncate contacts cascade',
      'delete from contacts',
      'update events set actor_id = 1',
      'delete from events',
      'truncate events',
      'select from events for update',
      'insert into events default values',
      'delete from drizzle.__drizzle_migrations',
      'set role postgres',
      'set session_replication_role = replica',
      "copy (select 1) to program 'true'"
    ])
      await t.rejects(sql.unsafe(statement), { code: '42501' }, statement)
    await t.rejects(
      sql.unsafe(`create temporary table mine (id bigint, organization_id bigint);
        create trigger mine after insert on mine referencing new table as new_rows
        for each statement execute function record_events('contact')`),
      { code: '42501' },
      'nor write an event by a trigger of its own'
    )
    t.equal((await call(`GET /api/contacts/${id}/history`)).json().data.length, 1)
  }
)

t.test('a table of a later migration can be used, and its events are written', async t => {
  const database_url = await database(t)
  const app = await application(t, { database_url })
  const owner = ownerOf(app)
  const sql = app.services.database.pool
  await owner`create table later (id int generated always as identity, name text)`
  t.same(await sql`insert into later (name) values ('a') returning id`, [{ id: 1 }])

  const [{ text } = { text: '' }] = await owner<{ text: string }[]>`
    select pg_get_functiondef('record_events'::regproc) as text`
  await owner.unsafe(text.replace('SECURITY DEFINER', '').replace(/^ SET search_path.*$/m, ''))
  const insert = async () =>
    await sql`insert into tags (organization_id, name) values (1, 'a') returning id`
  await t.rejects(insert(), /permission denied for table events/, 'a replaced function')
  await migrate(database_url, undefined, embeddedRole)
  t.equal((await insert()).length, 1, 'a start makes it the owner’s again')
})

t.test('a start that changes nothing writes no privileges', async t => {
  const url = await database(t)
  const sql = connect(t, url)
  const versions = async () =>
    await sql`select
      (select string_agg(xmin::text, ',' order by oid) from pg_class) as relations,
      (select string_agg(xmin::text, ',' order by oid) from pg_proc) as functions,
      (select string_agg(xmin::text, ',' order by oid) from pg_namespace) as schemas,
      (select string_agg(xmin::text, ',' order by oid) from pg_default_acl) as defaults,
      (select string_agg(xmin::text, ',' order by oid) from pg_policy) as policies`
  const before = await versions()
  await migrate(url, undefined, embeddedRole)
  t.same(await versions(), before)
})

/** The superuser's connection to the embedded Postgres of a folder. */
const superuserOf = (t: Test, DATA_DIR: string) =>
  connect(
    t,
    socketUrl(readFileSync(path.join(DATA_DIR, 'postgres/postmaster.pid'), 'utf8').split('\n')[4]!)
  )

type Process = Awaited<ReturnType<typeof start>>
/** Logs in as the first admin, creates a contact, and returns the types of its events. */
async function eventsOfNewContact(process: Process): Promise<string[]> {
  const { token } = (await (await process.send('POST /api/auth/login', admin)).json()) as {
    token: string
  }
  const created = await process.send('POST /api/contacts', contact, bearer(token))
  const { id } = (await created.json()) as { id: number }
  const history = await process.send(`GET /api/contacts/${id}/history`, undefined, bearer(token))
  return ((await history.json()) as { data: { type: string }[] }).data.map(({ type }) => type)
}

/** The roles that a server is connected as. */
const rolesIn = async (sql: postgres.Sql) =>
  (
    await sql<{ role: string }[]>`select distinct usename as role from pg_stat_activity
      where application_name like 'smartx%' and datname = current_database()`
  ).map(({ role }) => role)

t.test('a fresh embedded server serves as a role without ownership', async t => {
  const DATA_DIR = folder(t)
  const server = await start(t, { DATA_DIR, ADMIN_PASSWORD })
  t.same(await eventsOfNewContact(server), ['contact.created'])
  const sql = superuserOf(t, DATA_DIR)
  t.same(await rolesIn(sql), [embeddedRole])
  t.same(await excesses(sql, embeddedRole), [])
  const [role] =
    await sql`select rolinherit, has_database_privilege(oid, 'postgres', 'TEMP') as temp
    from pg_roles where rolname = ${embeddedRole}`
  t.same(role, { rolinherit: false, temp: false })

  await t.test('its jobs are done', async t => {
    await sql`select enqueue_job('rescore_leads', 1, '{"contact_ids": []}', null)`
    const deadline = performance.now() + 20_000
    const waiting = async () => (await sql`select from graphile_worker.jobs`).length
    while (performance.now() < deadline && (await waiting()) > 0) await sleep(50)
    t.equal(await waiting(), 0)
    t.notMatch(server.output(), /"level":[456]0/)
  })

  await t.test('demo data has statistics, which only the owner can update', async t => {
    const args = ['scripts/seed.ts', '--contacts', '20']
    t.match(await run(process.execPath, args, { env: { DATA_DIR } }), { code: 0 })
    const [contacts] = await sql`select reltuples from pg_class where relname = 'contacts'`
    t.equal(contacts!.reltuples, 21)
  })
})

t.test('an existing data folder gets the role', async t => {
  const DATA_DIR = folder(t)
  const earlier = await startEmbeddedPostgres({ data_dir: path.join(DATA_DIR, 'postgres') })
  await migrate(earlier.url)
  const roles = await connect(t, earlier.url)`select from pg_roles where rolname = ${embeddedRole}`
  t.equal(roles.length, 0)
  const services = createServices({
    database_url: earlier.url,
    redis_url: undefined,
    jwt_secret: secret,
    password_cost: { memory: 8, passes: 1 }
  })
  const { username, password } = admin
  await createFirstAdmin(services, { username, email: username, password })
  await closeServices(services)
  await earlier.stop()

  const server = await start(t, { DATA_DIR, ADMIN_PASSWORD })
  const sql = superuserOf(t, DATA_DIR)
  t.same(await rolesIn(sql), [embeddedRole])
  t.same(await excesses(sql, embeddedRole), [])
  t.same(await eventsOfNewContact(server), ['contact.created'], 'with the admin it had')
})

/** The statements of the README for an operator, with a database and roles of our own. */
async function operatorDatabase(t: Test) {
  const name = `test_${randomBytes(6).toString('hex')}`
  const [, text] = /^```sql\n([^]*?)^```$/m.exec(readFileSync('README.md', 'utf8'))!
  const server = connect(t, databaseUrl('postgres'))
  for (const statement of text!.replaceAll(/\bsmartx/g, name).split(';'))
    await server.unsafe(statement)
  t.teardown(async () => {
    await server.unsafe(`drop database ${name} with (force)`)
    await server.unsafe(`drop role ${name}_app, ${name}`)
  })
  const urlOf = (role: string) => databaseUrl(name).replace('//postgres@', `//${role}@`)
  const sql = connect(t, databaseUrl(name))
  return { name, sql, owner: urlOf(name), application: urlOf(`${name}_app`) }
}

const JWT_SECRET = 'x'.repeat(32)

t.test('migrations use DATABASE_MIGRATION_URL', async t => {
  const { name, sql, owner, application } = await operatorDatabase(t)
  const alone = { DATABASE_URL: application, JWT_SECRET, ADMIN_PASSWORD }
  const refused = await start(t, alone)
  t.equal(await refused.ended, 1)
  t.equal(
    refused.output(),
    `The database could not be migrated: permission denied for database ${name}: set ` +
      'DATABASE_MIGRATION_URL to the role that owns it\n',
    'which a role without ownership needs'
  )

  const both = await start(t, { ...alone, DATABASE_MIGRATION_URL: owner })
  t.same(await eventsOfNewContact(both), ['contact.created'])
  t.notMatch(both.output(), /"level":[456]0/)
  t.same(await rolesIn(sql), [`${name}_app`])
  t.same(await excesses(sql, `${name}_app`), [])
  const owners = await sql<{ owner: string }[]>`
    select distinct relowner::regrole::text as owner from pg_class c
    join pg_namespace n on n.oid = relnamespace
    where nspname in ('public', 'drizzle', 'graphile_worker') and relkind = 'r'`
  t.same(owners, [{ owner: name }])
  both.child.kill('SIGTERM')
  await both.ended

  await t.test('a process without it starts when no migration is pending', async t => {
    const { output, address, ...process } = await start(t, alone)
    t.ok(address, output())
    t.same(await eventsOfNewContact({ output, address, ...process }), ['contact.created'])
    t.notMatch(output(), /"level":[456]0/)
  })
})

t.test('DATABASE_MIGRATION_URL must be of the same database', async t => {
  const { name, owner } = await operatorDatabase(t)
  const settings = settingsOf(databaseUrl('postgres'))
  const refused = await start(t, { ...settings, DATABASE_MIGRATION_URL: owner })
  t.same(
    [await refused.ended, refused.output()],
    [1, `DATABASE_MIGRATION_URL names the database ${name}, but DATABASE_URL postgres\n`]
  )
})

t.test('without DATABASE_MIGRATION_URL, one role does both', async t => {
  const { name, sql, owner } = await operatorDatabase(t)
  const server = await start(t, { DATABASE_URL: owner, JWT_SECRET, ADMIN_PASSWORD })
  t.same(await eventsOfNewContact(server), ['contact.created'])
  t.same(await rolesIn(sql), [name])
  t.notMatch(server.output(), /"level":[456]0/)
})

t.test('a role that could change the schema is reported, and works', async t => {
  const { name, sql, owner } = await operatorDatabase(t)
  const warningFor = async (DATABASE_URL: string) => {
    const settings = { DATABASE_URL, DATABASE_MIGRATION_URL: owner, JWT_SECRET, ADMIN_PASSWORD }
    const server = await start(t, settings)
    t.same(await eventsOfNewContact(server), ['contact.created'])
    server.child.kill('SIGTERM')
    await server.ended
    const warnings = server.output().match(/^\{"level":[456]0.*$/gm) ?? []
    t.equal(warnings.length, 1, server.output())
    return /DATABASE_URL is of the role (.*):/.exec(warnings[0] ?? '')?.[1]
  }
  t.equal(await warningFor(owner), `${name}, which owns tables`)
  t.equal(await warningFor(databaseUrl(name)), 'postgres, which is a superuser')
  await sql.unsafe(`grant create on schema public to ${name}_app`)
  t.equal(
    await warningFor(owner.replace(`//${name}@`, `//${name}_app@`)),
    `${name}_app, which may create tables`
  )
})

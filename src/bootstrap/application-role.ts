// The role as which the application connects: it owns nothing, and may do what its statements need.
import type postgres from 'postgres'

/** The role of the application on the embedded Postgres. */
export const embeddedRole = 'smartx_app'

/** The event log and its chain, and the functions that alone write them. */
const eventLog = {
  tables: ['events', 'event_chain', 'event_sequence'],
  writers: [
    'record_events()',
    'record_access(bigint, text, text, bigint, bigint, jsonb, jsonb)',
    'chain_events(bigint)'
  ]
}
/** What migrations note about themselves. */
const migrationTables = ['drizzle.__drizzle_migrations', 'graphile_worker.migrations']
const queueSchema = 'graphile_worker'

/**
 * Creates the role on an embedded Postgres, if it is missing: also on one of an earlier release,
 * and by several processes at the same time. `client` is a superuser.
 */
export async function createEmbeddedRole(client: postgres.Sql): Promise<void> {
  await client.unsafe(`
    do $$ begin
      if to_regrole('${embeddedRole}') is null then
        create role ${embeddedRole} login nosuperuser nocreatedb nocreaterole noinherit;
        execute format('revoke temporary on database %I from public', current_database());
      end if;
    exception when duplicate_object or unique_violation then null;
    end $$`)
}

/**
 * Grants `role` what the application needs, and revokes the rest, in one transaction. `client` is
 * the owner of the schema, after migrations and under their lock. Nothing is changed that is as it
 * should be: a change makes all processes plan their statements again. Errors: those of Postgres.
 */
export async function grantPrivileges(client: postgres.Sql, role: string): Promise<void> {
  const statements = (
    await Promise.all([
      schemaGrants(client, role),
      eventLogSeals(client, role),
      relationGrants(client, role),
      functionGrants(client, role),
      queuePolicies(client, role)
    ])
  ).flat()
  if (statements.length > 0) await client.begin(async sql => await sql.unsafe(statements.join(';')))
}

type Statements = Promise<string[]>
const textsOf = (rows: { statement: string }[]) => rows.map(({ statement }) => statement)

/** Usage of our schemas, and default privileges, so that a new table is of use at once. */
async function schemaGrants(client: postgres.Sql, role: string): Statements {
  const usage = await client<{ statement: string }[]>`
    select format('grant usage on schema %I to %I', nspname, ${role}::text) as statement
    from pg_namespace
    where nspname in (current_schema(), 'drizzle', ${queueSchema})
      and not has_schema_privilege(${role}::name, oid, 'USAGE')`
  const defaults = await client<{ statement: string }[]>`
    select format('alter default privileges in schema %I grant %s to %I',
        nspname, privileges, ${role}::text) as statement
    from pg_namespace n
    cross join (values ('r', 'select, insert, update, delete on tables'),
      ('S', 'usage on sequences'), ('f', 'execute on functions')) as kinds (kind, privileges)
    where nspname in (current_schema(), ${queueSchema}) and not exists (
      select from pg_default_acl d, aclexplode(d.defaclacl) granted
      where d.defaclrole = current_user::regrole and d.defaclnamespace = n.oid
        and d.defaclobjtype = kind::"char" and granted.grantee = to_regrole(quote_ident(${role})))`
  return textsOf([...usage, ...defaults])
}

/**
 * Lets the functions that write the event log do so with the rights of its owner. Nobody else may
 * execute that of triggers, or could make it the trigger of another table. A migration that
 * replaces a function makes it an ordinary one again, until this.
 */
async function eventLogSeals(client: postgres.Sql, role: string): Statements {
  return textsOf(
    await client<{ statement: string }[]>`
      select unnest(array[
        format('alter function %s security definer set search_path = pg_catalog, %I, pg_temp',
          p.oid::regprocedure, nspname),
        format('revoke all on function %s from public', p.oid::regprocedure),
        format(case when is_open then 'grant execute on function %s to %I'
          else 'revoke all on function %s from %I' end, p.oid::regprocedure, ${role}::text)
      ]) as statement
      from pg_proc p join pg_namespace n on n.oid = pronamespace
      cross join lateral (select prorettype <> 'trigger'::regtype as is_open) kind
      where p.oid in (select to_regprocedure(unnest(${eventLog.writers}::text[])))
        and (not prosecdef or has_function_privilege(${role}::name, p.oid, 'EXECUTE') <> is_open)`
  )
}

/**
 * What tables, views and sequences of ours lack or have too much of. Records are deleted by their
 * `deleted_at`, so no statement of ours deletes their rows.
 */
async function relationGrants(client: postgres.Sql, role: string): Statements {
  const readOnly = [...eventLog.tables, ...migrationTables]
  return textsOf(
    await client<{ statement: string }[]>`
      select unnest(array[
        format('revoke all on %s %s from %I', kind, c.oid::regclass, ${role}::text),
        format('grant %s on %s %s to %I',
          array_to_string(privileges, ', '), kind, c.oid::regclass, ${role}::text)
      ]) as statement
      from pg_class c join pg_namespace n on n.oid = relnamespace
      cross join lateral (select
        case relkind when 'S' then 'sequence' else 'table' end as kind,
        case
          when relkind = 'S' then '{USAGE}'
          when relkind = 'v' or c.oid in (select to_regclass(unnest(${readOnly}::text[])))
            then '{SELECT}'
          when exists (select from pg_attribute where attrelid = c.oid and attname = 'deleted_at')
            then '{INSERT,SELECT,UPDATE}'
          else '{DELETE,INSERT,SELECT,UPDATE}'
        end::text[] as privileges) wanted
      where nspname in (current_schema(), 'drizzle', ${queueSchema})
        and relkind in ('r', 'p', 'v', 'S') and pg_has_role(relowner, 'USAGE')
        and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = c.oid
          and deptype = 'e')
        and privileges <> array(select privilege_type from aclexplode(relacl)
          where grantee = to_regrole(quote_ident(${role})) order by privilege_type)`
  )
}

/** For databases where not everybody may call a new function. Triggers need no such privilege. */
async function functionGrants(client: postgres.Sql, role: string): Statements {
  return textsOf(
    await client<{ statement: string }[]>`
      select format('grant execute on function %s to %I', p.oid::regprocedure, ${role}::text)
        as statement
      from pg_proc p join pg_namespace n on n.oid = pronamespace
      where nspname in (current_schema(), ${queueSchema}) and prokind in ('f', 'a', 'w')
        and prorettype <> 'trigger'::regtype and pg_has_role(proowner, 'USAGE')
        and not exists (select from pg_depend where classid = 'pg_proc'::regclass and objid = p.oid
          and deptype = 'e')
        and not has_function_privilege(${role}::name, p.oid, 'EXECUTE')`
  )
}

/** graphile-worker enables row-level security without policies: only the owner has rows then. */
async function queuePolicies(client: postgres.Sql, role: string): Statements {
  return textsOf(
    await client<{ statement: string }[]>`
      select format('create policy %I on %s to %1$I using (true)', ${role}::text, c.oid::regclass)
        as statement
      from pg_class c join pg_namespace n on n.oid = relnamespace
      where nspname = ${queueSchema} and relrowsecurity and pg_has_role(relowner, 'USAGE')
        and not exists (select from pg_policy
          where polrelid = c.oid and to_regrole(quote_ident(${role})) = any(polroles))`
  )
}

export type Excess =
  | 'is a superuser'
  | 'may create roles or databases'
  | 'bypasses row-level security'
  | 'owns tables'
  | 'may create tables'

/** What a role has that the application's should not; undefined if there is nothing. */
export async function excessOf(client: postgres.Sql, role: string): Promise<Excess | undefined> {
  const [found] = await client<{ excess: Excess | null }[]>`
    select case
      when rolsuper then 'is a superuser'
      when rolcreaterole or rolcreatedb then 'may create roles or databases'
      when rolbypassrls or rolreplication then 'bypasses row-level security'
      when exists (select from pg_class where relnamespace = current_schema()::regnamespace
        and relkind in ('r', 'p') and pg_has_role(rolname, relowner, 'MEMBER')) then 'owns tables'
      when has_schema_privilege(rolname, current_schema(), 'CREATE') then 'may create tables'
    end as excess
    from pg_roles where rolname = ${role}`
  return found?.excess ?? undefined
}

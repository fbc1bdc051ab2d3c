import postgres from 'postgres'
import { startEmbeddedPostgres } from '../../src/bootstrap/embedded-postgres.ts'

/** Creates an empty database: on the server of DATABASE_URL, or on an embedded one in `folder`. */
export async function createBenchDatabase(
  folder: string
): Promise<{ url: string; close: () => Promise<void> }> {
  const serverUrl = process.env.DATABASE_URL
  if (!serverUrl) {
    const { url, stop } = await startEmbeddedPostgres({ data_dir: `${folder}/postgres` })
    return { url, close: stop }
  }
  const name = `smartx_bench_${process.pid}`
  const execute = async (statement: string) => {
    const sql = postgres(serverUrl, { max: 1, onnotice: () => {} })
    await sql.unsafe(statement)
    await sql.end()
  }
  await execute(`create database ${name}`)
  const url = new URL(serverUrl)
  url.pathname = name
  return {
    url: url.href,
    close: async () => {
      await execute(`drop database ${name} with (force)`)
    }
  }
}

/** Creates `contacts_bare`: rows, indexes and foreign keys of `contacts`, without triggers. */
export async function createBareTable(sql: postgres.Sql): Promise<void> {
  const names = await sql<{ name: string }[]>`
    select quote_ident(attname) as name
    from pg_attribute
    where attrelid = 'contacts'::regclass
      and attnum > 0
      and not attisdropped
      and attgenerated = ''`
  const columns = names.map(({ name }) => name).join()
  await sql.unsafe(`
    create table contacts_bare (like contacts including all);

    alter table contacts_bare
      add foreign key (organization_id, account_id) references accounts (organization_id, id);

    insert into contacts_bare (${columns}) overriding system value
    select ${columns} from contacts order by id;

    select setval(pg_get_serial_sequence('contacts_bare', 'id'), max(id)) from contacts_bare`)
  await sql`vacuum (analyze) contacts_bare`
  await sql`vacuum (analyze) contacts`
}

/**
 * Selects search terms: one without matches, the rarest family name, the most frequent one with an
 * accent (without that accent), the most frequent one, a part of many companies, and a part of
 * almost all emails.
 */
export async function selectSearchTerms(sql: postgres.Sql): Promise<string[]> {
  const [terms] = await sql<{ rare: string; accented: string; common: string }[]>`
    with names as (
      select last_name as name, count(*) as frequency
      from contacts
      where last_name !~ '[^[:alpha:]]'
      group by last_name
    )
    select
      (select name from names order by frequency, name limit 1) as rare,
      (
        select search_normal(name)
        from names
        where name <> unaccent(name)
        order by frequency desc
        limit 1
      ) as accented,
      (select name from names order by frequency desc limit 1) as common`
  return ['zzyzx', terms!.rare, terms!.accented, terms!.common, 'gmbh', 'example']
}

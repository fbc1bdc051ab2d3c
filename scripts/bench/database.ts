import postgres from 'postgres'
import { startEmbeddedPostgres } from '../../src/bootstrap/embedded-postgres.ts'

/** An empty database: on the server of DATABASE_URL, or on an embedded one in `folder`. */
export async function openDatabase(
  folder: string
): Promise<{ url: string; close: () => Promise<void> }> {
  const given = process.env.DATABASE_URL
  if (!given) {
    const { url, stop } = await startEmbeddedPostgres({ data_dir: `${folder}/postgres` })
    return { url, close: stop }
  }
  const name = `smartx_bench_${process.pid}`
  const administer = async (statement: string) => {
    const sql = postgres(given, { max: 1, onnotice: () => {} })
    await sql.unsafe(statement)
    await sql.end()
  }
  await administer(`create database ${name}`)
  const url = new URL(given)
  url.pathname = name
  return {
    url: url.href,
    close: async () => {
      await administer(`drop database ${name} with (force)`)
    }
  }
}

/** Creates a copy of `contacts` with its rows, indexes and foreign keys, but without events. */
export async function createBareTable(sql: postgres.Sql): Promise<void> {
  const names = await sql<{ name: string }[]>`
    select quote_ident(attname) as name from pg_attribute where attrelid = 'contacts'::regclass
      and attnum > 0 and not attisdropped and attgenerated = ''`
  const columns = names.map(({ name }) => name).join()
  await sql.unsafe(`
    create table contacts_bare (like contacts including all);
    alter table contacts_bare add foreign key (organization_id, account_id)
      references accounts (organization_id, id);
    insert into contacts_bare (${columns}) overriding system value
      select ${columns} from contacts order by id;
    select setval(pg_get_serial_sequence('contacts_bare', 'id'), max(id)) from contacts_bare`)
  await sql`vacuum (analyze) contacts_bare`
  await sql`vacuum (analyze) contacts`
}

/**
 * Search terms: one without hits, the rarest name, one with an accent (written without it), the
 * most frequent one, a part of many names, and one that nearly all rows have.
 */
export async function searchTerms(sql: postgres.Sql): Promise<string[]> {
  const [terms] = await sql<{ rare: string; accented: string; common: string }[]>`
    with names as (
      select last_name as name, count(*) as times from contacts
      where last_name !~ '[^[:alpha:]]' group by last_name
    )
    select (select name from names order by times, name limit 1) as rare,
      (select search_normal(name) from names
        where name <> unaccent(name) order by times desc limit 1) as accented,
      (select name from names order by times desc limit 1) as common`
  return ['zzyzx', terms!.rare, terms!.accented, terms!.common, 'gmbh', 'example']
}

import type postgres from 'postgres'

/**
 * Errors: with a message of one line for a database that cannot hold or compare all text: in
 * another encoding than UTF-8, with a locale that has no letters but those of English, or of a
 * server without ICU, by which names are sorted.
 */
export async function assertUsable(client: postgres.Sql): Promise<void> {
  const [database] = await client<Properties[]>`
    select current_setting('server_encoding') as encoding, datctype as locale,
      lower('ÄÉŁЖ') = 'äéłж' and upper('äéłж') = 'ÄÉŁЖ' as folds_case,
      exists (select from pg_collation where collprovider = 'i') as has_icu
    from pg_database where datname = current_database()`
  const { encoding, locale, folds_case, has_icu } = database!
  if (encoding !== 'UTF8')
    throw new Error(`The database has the encoding ${encoding}: create it with ENCODING 'UTF8'`)
  if (!folds_case)
    throw new Error(
      `The database cannot ignore case outside of ASCII (LC_CTYPE ${locale}): create it with ` +
        "another locale, such as LC_CTYPE 'C.UTF-8'"
    )
  if (!has_icu) throw new Error('Postgres was built without ICU, by which names are sorted')
}

interface Properties {
  encoding: string
  locale: string
  folds_case: boolean
  has_icu: boolean
}

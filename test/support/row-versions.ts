import { ownerOf, type App } from './app.ts'

/**
 * Which versions of which rows each table of an organization has, by the catalog: equal before and
 * after what writes nothing. `except`: tables that are written whatever happens.
 */
export async function rowVersions(
  app: App,
  organization_id: number,
  except: string[] = []
): Promise<Record<string, string>> {
  const sql = ownerOf(app)
  const tables = await sql<{ name: string }[]>`
    select table_name as name from information_schema.columns join information_schema.tables
      using (table_schema, table_name)
    where table_schema = 'public' and column_name = 'organization_id' and table_type = 'BASE TABLE'
    order by table_name`
  const versions: Record<string, string> = {}
  for (const { name } of tables.filter(({ name }) => !except.includes(name))) {
    if (name === 'event_chain') continue // it follows the events
    // refusals are events themselves, with details
    const changes = name === 'events' ? 'and details is null' : ''
    const [row] = await sql.unsafe<[{ versions: string }]>(
      `select count(*) || ' rows ' ||
          md5(coalesce(string_agg(ctid || ' ' || xmin, ',' order by ctid), '')) as versions
        from ${name} where organization_id = $1 ${changes}`,
      [organization_id]
    )
    versions[name] = row.versions
  }
  return versions
}

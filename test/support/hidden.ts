import type { Sql } from '../../src/core/db/connections.ts'
import { getTableName } from '../../src/core/db/drizzle.ts'
import { allResources } from '../../src/core/records/resource.ts'

/**
 * What differs between the definitions and the database, of which neither is right: tables whose
 * events are not logged, columns that a resource hides and its events show, or the other way
 * round, and columns that it neither hides nor describes.
 */
export async function hiddenColumnMistakes(sql: Sql): Promise<string[]> {
  // the arguments end with a NUL each: the name of a record, its hidden columns, its derived ones
  const triggers = await sql<{ table: string; hidden: string; derived: string }[]>`
    select tgrelid::regclass::text as table, split_part(args, '\\000', 2) as hidden,
      split_part(args, '\\000', 3) as derived
    from (select *, encode(tgargs, 'escape') as args from pg_trigger) trigger
    where tgname like 'events_of_%' and tgname <> 'events_of_truncate'`
  return allResources().flatMap(({ table, hidden = [], columns, schema }) => {
    const name = getTableName(table)
    const own = triggers.filter(trigger => trigger.table === name)
    const hiddenInEvents = own[0]?.hidden.split(',').filter(column => column !== '') ?? []
    const described = Object.keys(schema?.properties ?? columns)
    return [
      ...(own.length === 3 ? [] : [`${name} logs ${own.length} of inserts, updates and deletes`]),
      ...hidden
        .filter(column =>
          own.some(({ hidden, derived }) => !`${hidden},${derived}`.split(',').includes(column))
        )
        .map(column => `${name}.${column} is hidden, but not in events`),
      ...hiddenInEvents
        .filter(column => !hidden.includes(column))
        .map(column => `${name}.${column} is hidden only in events`),
      ...Object.keys(columns)
        .filter(column => !described.includes(column))
        .map(column => `${name}.${column} is neither hidden nor described`)
    ]
  })
}

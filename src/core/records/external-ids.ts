import type { SQL } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'
import { columnNamed, hasExternalIds, identifier } from '../db/columns.ts'
import { boolean, pgTable, primaryKey, sql, uniqueIndex, varchar } from '../db/drizzle.ts'
import { organization } from '../db/sql.ts'
import { ExternalFilter } from '../http/external-ids.ts'
import type { Filter, VirtualFilters } from './filter.ts'

/**
 * The external IDs of all records, which a trigger (drizzle/0026) fills from the column
 * `external_ids` of each table: unique among the records of a type that are not deleted. `type` is
 * the name of a resource.
 */
export const externalIdRows = pgTable(
  'external_ids',
  {
    organization_id: identifier().notNull(),
    type: varchar({ length: 40 }).notNull(),
    record_id: identifier().notNull(),
    source: varchar({ length: 40 }).notNull(),
    value: varchar({ length: 255 }).notNull(),
    is_deleted: boolean().notNull()
  },
  t => [
    primaryKey({
      name: 'external_ids_key',
      columns: [t.organization_id, t.type, t.record_id, t.source]
    }),
    // deleted records are found by it, too
    uniqueIndex('external_ids_value_unique').on(
      t.organization_id,
      t.type,
      t.source,
      t.value,
      sql`(case when ${t.is_deleted} then ${t.record_id} else 0 end)`
    )
  ]
)

/** The name of the filter by external IDs, of `GET …/external/…` and of `match=external:…`. */
export const external = 'external'

/** The filter for records that have one of these IDs in another system. */
export const hasExternalId = (source: string, ...values: string[]): Filter => ({
  field: external,
  operator: 'eq',
  value: [source, ...values]
})

/** The filters that the records of a table have by their external IDs, if they have such. */
export function externalFilters(table: PgTable, type: string): VirtualFilters {
  if (!hasExternalIds(table)) return {}
  const condition = (given: SQL) => sql`${columnNamed(table, 'id')} = any(array(
    select record_id from ${externalIdRows} where organization_id = ${organization}
      and type = ${sql.raw(`'${type}'`)} and source = (${given}::text[])[1]
      and value = any((${given}::text[])[2:])))`
  const reads = [columnNamed(table, 'external_ids')]
  return { [external]: { schema: ExternalFilter, condition, reads } }
}

import type { SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { LRUCache } from 'lru-cache'
import type { Action } from '../access/permissions.ts'
import { columnNamed, isExternalIds } from '../db/columns.ts'
import { and, getTableConfig, getTableName, sql } from '../db/drizzle.ts'
import { author, compile, organization, reached, type Statement } from '../db/sql.ts'
import { resourceOf, type Resource } from './resource.ts'

export const placeholder = (name: string) => sql.placeholder(name)

/**
 * A parameter of the column's type, without its length: a cast to varchar(50) would truncate what
 * is too long instead of refusing it.
 */
export const parameter = (column: PgColumn): SQL => {
  const type = column.getSQLType().replace(/\(.*?\)/, '')
  return sql`${placeholder(column.name)}::${sql.raw(type)}`
}
/**
 * What a column is set to, of a new record (`before`: nothing) or of an existing one: a value, or
 * for external IDs what a merge patch makes of those `before` (RFC 7396), in the same statement.
 */
export const assignedTo = (column: PgColumn, before: SQL, value: SQL): SQL =>
  isExternalIds(column) ? sql`coalesce(jsonb_strip_nulls(${before} || ${value}), '{}')` : value
export const nothing = sql`'{}'::jsonb`

export const identifiers = (columns: PgColumn[]): SQL[] =>
  columns.map(({ name }) => sql`${sql.identifier(name)}`)
export const commaSeparated = (parts: SQL[]) => sql.join(parts, sql`, `)

export const byIds = sql`organization_id = ${organization}
  and id = any(${placeholder('ids')}::bigint[])`
export const notDeleted = sql`deleted_at is null`

/** Columns as they are declared for what is read from JSON. */
export const typed = (columns: PgColumn[]): SQL[] =>
  columns.map(column => sql`${sql.identifier(column.name)} ${sql.raw(column.getSQLType())}`)

/**
 * A foreign key, and the condition that the record it points at exists or that it is null: for a
 * new value, and for the stored one. The former is made when it is asked for, since the other
 * resource may be defined later.
 */
interface CheckedReference {
  column: PgColumn
  accepts: (value?: SQL) => SQL
  remains: SQL
}

/** What the statements for the records of one table consist of. */
export class StatementParts {
  protected readonly name: string
  protected readonly table: SQL
  /** The columns that a statement returns. */
  protected readonly returning: SQL
  protected readonly references: CheckedReference[]
  protected readonly nextVersion: SQL
  readonly #columns: Record<string, PgColumn>
  readonly #shapes = new LRUCache<string, Statement<unknown>>({ max: 200 })

  constructor(resource: Resource) {
    this.name = getTableName(resource.table)
    this.table = sql`${sql.identifier(this.name)}`
    this.#columns = resource.table as unknown as Record<string, PgColumn>
    this.returning = commaSeparated(Object.values(resource.columns).map(one => this.stored(one)))
    this.nextVersion = sql`version = ${this.table}.version + 1, updated_at = now(),
      updated_by = ${author}`
    this.references = getTableConfig(resource.table).foreignKeys.map(key => {
      const { columns, foreignTable } = key.reference()
      const column = columnNamed(resource.table, columns.at(-1)!.name)
      const target = getTableName(foreignTable)
      return {
        column,
        accepts: (value = parameter(column)) => {
          const available = resourceOf(foreignTable)?.available
          const isMembership = column.name === resource.membershipIn
          const isReached = and(
            reached('read', target, 'target'),
            isMembership ? reached('create', this.name, 'target') : undefined
          )
          return this.#exists(value, target, available, isReached)
        },
        remains: this.#exists(this.stored(column), target)
      }
    })
  }

  /** A column of the table. */
  protected stored({ name }: PgColumn): SQL {
    return sql`${this.table}.${sql.identifier(name)}`
  }

  /** The condition that the caller may do `action` to the record. */
  protected mayDo(action: Action): SQL {
    return reached(action, this.name)
  }

  /** The condition that the caller may give the record to whom these columns say, if they do. */
  #mayReassign(columns: PgColumn[], given: (column: PgColumn) => SQL): SQL | undefined {
    const owner = columns.find(({ name }) => name === 'assigned_to')
    if (!owner) return undefined
    const isUnchanged = sql`${this.stored(owner)} is not distinct from ${given(owner)}`
    return sql`(${isUnchanged} or ${reached('reassign', this.name)})`
  }

  #exists(value: SQL, target: string, available: SQL = sql`true`, isReached = sql`true`): SQL {
    return sql`(${value} is null or exists (
      select from ${sql.identifier(target)} target
      where target.organization_id = ${organization} and target.id = ${value}
        and target.deleted_at is null and ${available} and ${isReached}))`
  }

  /** What a record requires, deleted or not: the references that are not null. */
  protected get required(): CheckedReference[] {
    return this.references.filter(({ column }) => column.notNull)
  }

  protected compiled<Result>(shape: string, make: () => SQL): Statement<Result> {
    const known = this.#shapes.get(shape) as Statement<Result> | undefined
    if (known) return known
    const statement = compile<Result>(make(), false)
    this.#shapes.set(shape, statement)
    return statement
  }

  protected columnsOf(fields: string[]): PgColumn[] {
    return fields.map(field => this.#columns[field]!)
  }

  protected referencesIn(fields: string[]): CheckedReference[] {
    return this.references.filter(({ column }) => fields.includes(column.name))
  }

  /** What an update of these fields consists of. `given`: their new values. */
  protected changesOf(fields: string[], given: (column: PgColumn) => SQL = parameter) {
    const columns = this.columnsOf(fields)
    const references = this.referencesIn(fields)
    const named = columns.map(column => ({
      name: sql`${sql.identifier(column.name)}`,
      before: this.stored(column),
      value: assignedTo(column, this.stored(column), given(column))
    }))
    const assigned = named.map(({ name, value }) => sql`${name} = ${value}`)
    const different = named.map(({ before, value }) => sql`${before} is distinct from ${value}`)
    // an unchanged reference may point at a deleted record: saving a form must not fail for it
    const valid = references.map(
      ({ column, accepts }) =>
        sql`(${this.stored(column)} is not distinct from ${given(column)}
          or ${accepts(given(column))})`
    )
    return {
      references,
      allowed: and(this.mayDo('update'), this.#mayReassign(columns, given))!,
      set: commaSeparated(assigned),
      differs: sql`(${sql.join(different, sql` or `)})`,
      valid
    }
  }
}

import type { SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { isExternalIds } from '../db/columns.ts'
import { and, sql } from '../db/drizzle.ts'
import { actor, author, compile, organization, reached, type Statement } from '../db/sql.ts'
import { externalIdRows } from './external-ids.ts'
import type { Resource } from './resource.ts'
import {
  assignedTo,
  byIds,
  commaSeparated,
  identifiers,
  nothing,
  placeholder,
  StatementParts,
  typed
} from './statement-parts.ts'

/** A locked record with its columns as events have them, and what the caller may do to it. */
export interface Stored {
  id: number
  version: number
  record: Record<string, unknown>
  read: boolean
  update: boolean
  delete: boolean
  reassign: boolean
}

/** What is always known of a record that was locked or written. */
export interface Versioned {
  id: number
  version: number
}
/** Its columns; the others are only returned where they are wanted: they are most of the work. */
const writtenColumns = new Set(['id', 'version'])

const given = (column: PgColumn) => sql`given.${sql.identifier(column.name)}`
/** What the statement is given: an array of JSON. */
const inputs = sql`${placeholder('inputs')}::text::jsonb`

/** What is done to each record of a set: see `#each`. */
interface Writing {
  /** Whether whole records are returned. */
  whole: boolean
  /** Columns that are given for each. */
  columns?: PgColumn[]
  isPossible: SQL
  differs: SQL
  set: SQL
}

/** The statements for many records of one table, compiled once for each set of fields. */
export class SetStatements extends StatementParts {
  readonly #type: string
  readonly #visible: PgColumn[]
  /** Locks records, deleted or not, that the caller reads, in the order of their IDs. */
  readonly hold: Statement<Versioned>
  /** Records, deleted or not, locked to be undone. */
  readonly lockMany: Statement<Stored>

  constructor(resource: Resource) {
    super(resource)
    this.#type = resource.name
    this.#visible = Object.values(resource.columns)
    const from = sql`from ${this.table}`
    const locked = sql`order by id for no key update`
    this.hold = compile(
      sql`select id, version ${from} where ${byIds} and ${this.mayDo('read')} ${locked}`
    )
    const rights = (['read', 'update', 'delete', 'reassign'] as const).map(
      action => sql`coalesce(${reached(action, this.name)}, false) as ${sql.identifier(action)}`
    )
    this.lockMany = compile(sql`select id, version, to_jsonb(${this.table}) as record,
      ${commaSeparated(rights)} ${from} where ${byIds} ${locked}`)
  }

  /**
   * Writes each of the records that are given by `id`, if it has the `version` given, if any, and
   * if that is possible. Returns these records, in no order, with those that would be as before,
   * which are not written. Locks them first, in the order of their IDs.
   */
  #each({ whole, columns = [], isPossible, differs, set }: Writing): SQL {
    const declared = commaSeparated([sql`id bigint, version integer`, ...typed(columns)])
    const { table } = this
    const returned = this.#returned(whole)
    const returning = commaSeparated(returned.map(column => this.stored(column)))
    const names = commaSeparated(identifiers(returned))
    const isSame = sql`${table}.organization_id = ${organization} and ${table}.id = given.id`
    return sql`with given as materialized (
        select * from jsonb_to_recordset(${inputs}) as given (${declared})
      ), found as materialized (
        select ${returning}, ${differs} as "?differs" from given join ${table} on ${isSame}
        where (given.version is null or given.version = ${table}.version) and ${isPossible}
        order by ${table}.id for no key update of ${table}
      ), changed as (
        update ${table} set ${set}, ${this.nextVersion}
        from given join found on found.id = given.id and found."?differs"
        where ${isSame} returning ${returning}
      ) select * from changed union all select ${names} from found where not "?differs"`
  }

  #returned(whole: boolean): PgColumn[] {
    return this.#visible.filter(({ name }) => whole || writtenColumns.has(name))
  }

  removeEach(): Statement<Versioned> {
    return this.compiled('removeEach', () =>
      this.#each({
        whole: false,
        isPossible: and(sql`${this.table}.deleted_at is null`, this.mayDo('delete'))!,
        differs: sql`true`,
        set: sql`deleted_at = now()`
      })
    )
  }

  restoreEach(whole: boolean): Statement<Versioned> {
    return this.compiled(`restoreEach ${whole}`, () => {
      const isDeleted = sql`${this.table}.deleted_at is not null`
      const remain = and(sql`true`, ...this.required.map(({ remains }) => remains))!
      return this.#each({
        whole,
        isPossible: sql`${this.mayDo('delete')} and (not ${isDeleted} or ${remain})`,
        differs: isDeleted,
        set: sql`deleted_at = null`
      })
    })
  }

  updateEach(fields: string[], whole: boolean): Statement<Versioned> {
    return this.compiled(`updateEach ${whole} ${fields.join()}`, () => {
      const { allowed, differs, set, valid } = this.changesOf(fields, given)
      const columns = this.columnsOf(fields)
      const free = columns.filter(isExternalIds).map(column => this.#areFree(given(column)))
      const isAlive = sql`${this.table}.deleted_at is null`
      return this.#each({
        whole,
        columns,
        isPossible: and(isAlive, allowed, ...valid, ...free)!,
        differs,
        set
      })
    })
  }

  /** The condition that no other record has one of these external IDs before the statement. */
  #areFree(external_ids: SQL): SQL {
    return sql`not exists (
      select from jsonb_each_text(${external_ids}) wanted join ${externalIdRows} held
        on held.organization_id = ${organization} and held.type = ${this.#type}
          and held.source = wanted.key and held.value = wanted.value and not held.is_deleted
      where held.record_id <> given.id)`
  }

  /** Inserts those records of an array of JSON whose references exist. Returns them in no order. */
  insertEach(fields: string[], whole: boolean): Statement<Versioned> {
    return this.compiled(`insertEach ${whole} ${fields.join()}`, () => {
      const columns = this.columnsOf(fields)
      const names = identifiers(columns).map(name => sql`, ${name}`)
      const values = columns.map(column => sql`, ${assignedTo(column, nothing, given(column))}`)
      // IDs are in the order of the input
      return sql`insert into ${this.table}
        (organization_id, created_by, updated_by${sql.join(names)})
        select ${organization}, ${author}, ${actor}${sql.join(values)}
        ${this.#acceptedFrom(fields)} order by input.place
        returning ${commaSeparated(identifiers(this.#returned(whole)))}`
    })
  }

  /** The places, from 1 on, of the records that `insertEach` inserts. */
  accepted(fields: string[]): Statement<{ place: number }> {
    return this.compiled(
      `accepted ${fields.join()}`,
      () => sql`select input.place ${this.#acceptedFrom(fields)} order by input.place`
    )
  }

  #acceptedFrom(fields: string[]): SQL {
    const columns = this.columnsOf(fields)
    const accepted = this.referencesIn(fields).map(({ column, accepts }) => accepts(given(column)))
    return sql`from jsonb_array_elements(${inputs}) with ordinality as input (value, place),
        jsonb_to_record(input.value) as given (${commaSeparated(typed(columns))})
      where ${and(sql`true`, ...accepted)!}`
  }

  insertMany(fields: string[]): Statement<{ created: number }> {
    return this.compiled(`insertMany ${fields.join()}`, () => {
      const columns = this.columnsOf(fields)
      const names = commaSeparated(identifiers(columns))
      return sql`with created as (
        insert into ${this.table} (organization_id, created_by, updated_by, ${names})
        select ${organization}, ${author}, ${actor}, ${names}
        from jsonb_to_recordset(${inputs}) as input (${commaSeparated(typed(columns))})
        on conflict do nothing returning 1
      ) select count(*) as created from created`
    })
  }

  updateMany(fields: string[]): Statement<{ id: number }> {
    const isAlive = sql`${this.table}.deleted_at is null`
    const isOurs = sql`${isAlive} and ${this.mayDo('update')}`
    return this.#setMany(`updateMany ${fields.join()}`, fields, isOurs, (column, before) =>
      assignedTo(column, before, given(column))
    )
  }

  /** Like `updateMany`, of locked records, of `deleted_at` as well, and of all external IDs. */
  revertMany(fields: string[]): Statement<{ id: number }> {
    return this.#setMany(`revertMany ${fields.join()}`, fields, sql`true`, given)
  }

  /** `valueOf`: what a column is set to, which has been `before`. */
  #setMany(
    shape: string,
    fields: string[],
    condition: SQL,
    valueOf: (column: PgColumn, before: SQL) => SQL
  ): Statement<{ id: number }> {
    return this.compiled(shape, () => {
      const columns = this.columnsOf(fields)
      const { table } = this
      const declared = commaSeparated([sql`id bigint, version integer`, ...typed(columns)])
      const set = columns.map(
        column => sql`${sql.identifier(column.name)} = ${valueOf(column, this.stored(column))}`
      )
      const different = columns.map(
        column => sql`${this.stored(column)} is distinct from
          ${valueOf(column, this.stored(column))}`
      )
      return sql`update ${table} set ${commaSeparated(set)}, ${this.nextVersion}
        from jsonb_to_recordset(${inputs}) as given (${declared})
        where ${table}.organization_id = ${organization} and ${table}.id = given.id
          and ${condition} and (given.version is null or given.version = ${table}.version)
          and (${sql.join(different, sql` or `)}) returning ${table}.id`
    })
  }
}

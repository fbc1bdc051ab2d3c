import type { SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { LRUCache } from 'lru-cache'
import type { Action } from '../access/permissions.ts'
import { columnNamed, isExternalIds } from '../db/columns.ts'
import { and, getTableConfig, getTableName, sql } from '../db/drizzle.ts'
import {
  actor,
  author,
  compile,
  organization,
  reached,
  type Statement,
  type Values
} from '../db/sql.ts'
import { resourceOf, type Resource } from './resource.ts'

const placeholder = (name: string) => sql.placeholder(name)

/**
 * A parameter of the column's type, without its length: a cast to varchar(50) would truncate what
 * is too long instead of refusing it.
 */
const parameter = (column: PgColumn) => {
  const type = column.getSQLType().replace(/\(.*?\)/, '')
  return sql`${placeholder(column.name)}::${sql.raw(type)}`
}
/**
 * What a column is set to, of a new record (`before`: nothing) or of an existing one: a value, or
 * for external IDs what a merge patch makes of those `before` (RFC 7396), in the same statement.
 */
const assignedTo = (column: PgColumn, before: SQL, value = parameter(column)): SQL =>
  isExternalIds(column) ? sql`coalesce(jsonb_strip_nulls(${before} || ${value}), '{}')` : value
const nothing = sql`'{}'::jsonb`

const identifiers = (columns: PgColumn[]): SQL[] =>
  columns.map(({ name }) => sql`${sql.identifier(name)}`)
const commaSeparated = (parts: SQL[]) => sql.join(parts, sql`, `)

const byId = sql`organization_id = ${organization} and id = ${placeholder('id')}::bigint`
const byIds = sql`organization_id = ${organization}
  and id = any(${placeholder('ids')}::bigint[])`
const notDeleted = sql`deleted_at is null`
const versionMatches = sql`(${placeholder('versions')}::int[] is null
  or version = any(${placeholder('versions')}::int[]))`
const nextVersion = sql`version = version + 1, updated_at = now(), updated_by = ${author}`

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

/** The statements for the records of one table, compiled once for each set of fields. */
export class Statements<Row> {
  readonly #name: string
  readonly #table: SQL
  readonly #columns: Record<string, PgColumn>
  readonly #returning: SQL
  readonly #references: CheckedReference[]
  readonly #shapes = new LRUCache<string, Statement<unknown>>({ max: 200 })

  readonly get: Statement<Row>
  readonly getAny: Statement<Row>
  readonly find: Statement<Row>
  readonly findAny: Statement<Row>
  /** With `?update`: whether the caller may change the record. */
  readonly lock: Statement<Row & Values>
  /** Records, deleted or not, locked to be undone. */
  readonly lockMany: Statement<Stored>
  /** A record, deleted or not, with `?update` and `?delete`: what the caller may do to it. */
  readonly explain: Statement<Row & Values>
  readonly remove: Statement<Row>
  readonly restore: Statement<Row>
  /** For each required reference of a record, deleted or not, whether its record exists. */
  readonly parentsRemain: Statement<Record<string, boolean>>

  constructor(resource: Resource) {
    this.#name = getTableName(resource.table)
    this.#table = sql`${sql.identifier(this.#name)}`
    this.#columns = resource.table as unknown as Record<string, PgColumn>
    this.#returning = commaSeparated(identifiers(Object.values(resource.columns)))
    this.#references = getTableConfig(resource.table).foreignKeys.map(key => {
      const { columns, foreignTable } = key.reference()
      const column = columnNamed(resource.table, columns.at(-1)!.name)
      const target = getTableName(foreignTable)
      const stored = sql`${this.#table}.${sql.identifier(column.name)}`
      return {
        column,
        accepts: (value = parameter(column)) => {
          const available = resourceOf(foreignTable)?.available
          const isMembership = column.name === resource.membershipIn
          const isReached = and(
            reached('read', target, 'target'),
            isMembership ? reached('create', this.#name, 'target') : undefined
          )
          return this.#exists(value, target, available, isReached)
        },
        remains: this.#exists(stored, target)
      }
    })
    const mayRead = this.#mayDo('read')
    const mayUpdate = sql`${this.#mayDo('update')} as "?update"`
    const mayDelete = sql`${this.#mayDo('delete')} as "?delete"`
    const from = sql`from ${this.#table}`
    const select = sql`select ${this.#returning} ${from}`
    const one = sql`where ${byId} and ${mayRead}`
    const many = sql`where ${byIds} and ${mayRead}`
    this.get = compile(sql`${select} ${one} and ${notDeleted}`)
    this.getAny = compile(sql`${select} ${one}`)
    this.find = compile(sql`${select} ${many} and ${notDeleted}`)
    this.findAny = compile(sql`${select} ${many}`)
    this.lock = compile(sql`select ${this.#returning}, ${mayUpdate} ${from}
      ${one} and ${notDeleted} for no key update`)
    const rights = (['read', 'update', 'delete', 'reassign'] as const).map(
      action => sql`coalesce(${reached(action, this.#name)}, false) as ${sql.identifier(action)}`
    )
    this.lockMany = compile(sql`select id, version, to_jsonb(${this.#table}) as record,
      ${commaSeparated(rights)} ${from} where ${byIds} order by id for no key update`)
    this.explain = compile(
      sql`select ${this.#returning}, ${mayUpdate}, ${mayDelete} ${from} ${one}`
    )
    this.remove = this.#mark(sql`now()`, notDeleted)
    const parents = this.#references.filter(({ column }) => column.notNull)
    const isDeleted = sql`deleted_at is not null`
    const remain = parents.map(({ remains }) => remains)
    this.restore = this.#mark(sql`null`, and(isDeleted, ...remain)!)
    this.parentsRemain = compile(
      sql`select ${commaSeparated(
        parents.map(({ column, remains }) => sql`${remains} as ${sql.identifier(column.name)}`)
      )} from ${this.#table} where ${byId} and ${mayRead}`
    )
  }

  /** The condition that the caller may do `action` to the record. */
  #mayDo(action: Action): SQL {
    return reached(action, this.#name)
  }

  /** The condition that the caller may give the record to whom these columns say, if they do. */
  #mayReassign(columns: PgColumn[]): SQL | undefined {
    const owner = columns.find(({ name }) => name === 'assigned_to')
    if (!owner) return undefined
    const isUnchanged = sql`${sql.identifier(owner.name)} is not distinct from ${parameter(owner)}`
    return sql`(${isUnchanged} or ${reached('reassign', this.#name)})`
  }

  #exists(value: SQL, target: string, available: SQL = sql`true`, isReached = sql`true`): SQL {
    return sql`(${value} is null or exists (
      select from ${sql.identifier(target)} target
      where target.organization_id = ${organization} and target.id = ${value}
        and target.deleted_at is null and ${available} and ${isReached}))`
  }

  #mark(deleted_at: SQL, condition: SQL): Statement<Row> {
    return compile(sql`update ${this.#table} set deleted_at = ${deleted_at}, ${nextVersion}
      where ${byId} and ${condition} and ${versionMatches} and ${this.#mayDo('delete')}
      returning ${this.#returning}`)
  }

  #compiled<Result>(shape: string, make: () => SQL): Statement<Result> {
    const known = this.#shapes.get(shape) as Statement<Result> | undefined
    if (known) return known
    const statement = compile<Result>(make(), false)
    this.#shapes.set(shape, statement)
    return statement
  }

  #columnsOf(fields: string[]): PgColumn[] {
    return fields.map(field => this.#columns[field]!)
  }

  #referencesIn(fields: string[]): CheckedReference[] {
    return this.#references.filter(({ column }) => fields.includes(column.name))
  }

  insert(fields: string[]): Statement<Row> {
    return this.#compiled(`insert ${fields.join()}`, () => {
      const columns = this.#columnsOf(fields)
      const references = this.#referencesIn(fields)
      const names = identifiers(columns).map(name => sql`, ${name}`)
      const values = columns.map(column => sql`, ${assignedTo(column, nothing)}`)
      return sql`insert into ${this.#table}
        (organization_id, created_by, updated_by${sql.join(names)})
        select ${organization}, ${author}, ${actor}${sql.join(values)}
        where ${and(sql`true`, ...references.map(({ accepts }) => accepts()))!}
        returning ${this.#returning}`
    })
  }

  /** Those of new records, given as an array of JSON, whose references exist, in no order. */
  insertEach(fields: string[]): Statement<Row> {
    return this.#compiled(`insertEach ${fields.join()}`, () => {
      const columns = this.#columnsOf(fields)
      const given = (column: PgColumn) => sql`given.${sql.identifier(column.name)}`
      const accepted = this.#referencesIn(fields).map(({ column, accepts }) =>
        accepts(given(column))
      )
      const names = identifiers(columns).map(name => sql`, ${name}`)
      const values = columns.map(column => sql`, ${assignedTo(column, nothing, given(column))}`)
      // IDs are in the order of the input
      return sql`insert into ${this.#table}
        (organization_id, created_by, updated_by${sql.join(names)})
        select ${organization}, ${author}, ${actor}${sql.join(values)}
        from jsonb_array_elements(${placeholder('inputs')}::text::jsonb)
            with ordinality as input (value, place),
          jsonb_to_record(input.value) as given (${commaSeparated(this.#typed(columns))})
        where ${and(sql`true`, ...accepted)!} order by input.place
        returning ${this.#returning}`
    })
  }

  /** For each reference among the fields, whether its record exists. */
  referencesExist(fields: string[]): Statement<Record<string, boolean>> {
    return this.#compiled(`references ${fields.join()}`, () => {
      const checks = this.#referencesIn(fields).map(
        ({ column, accepts }) => sql`${accepts()} as ${sql.identifier(column.name)}`
      )
      return sql`select ${commaSeparated(checks)}`
    })
  }

  insertMany(fields: string[]): Statement<{ created: number }> {
    return this.#compiled(`insertMany ${fields.join()}`, () => {
      const columns = this.#columnsOf(fields)
      const names = commaSeparated(identifiers(columns))
      const input = sql`jsonb_to_recordset(${placeholder('inputs')}::text::jsonb)`
      return sql`with created as (
        insert into ${this.#table} (organization_id, created_by, updated_by, ${names})
        select ${organization}, ${author}, ${actor}, ${names}
        from ${input} as input (${commaSeparated(this.#typed(columns))})
        on conflict do nothing returning 1
      ) select count(*) as created from created`
    })
  }

  #typed(columns: PgColumn[]): SQL[] {
    return columns.map(
      column => sql`${sql.identifier(column.name)} ${sql.raw(column.getSQLType())}`
    )
  }

  /** What an update of these fields consists of. */
  #changesOf(fields: string[]) {
    const columns = this.#columnsOf(fields)
    const references = this.#referencesIn(fields)
    const named = columns.map(column => {
      const name = sql`${sql.identifier(column.name)}`
      return { name, value: assignedTo(column, name) }
    })
    const assigned = named.map(({ name, value }) => sql`${name} = ${value}`)
    const different = named.map(({ name, value }) => sql`${name} is distinct from ${value}`)
    // an unchanged reference may point at a deleted record: saving a form must not fail for it
    const valid = references.map(
      ({ column, accepts }) =>
        sql`(${sql.identifier(column.name)} is not distinct from ${parameter(column)}
          or ${accepts()})`
    )
    return {
      references,
      allowed: and(this.#mayDo('update'), this.#mayReassign(columns))!,
      set: commaSeparated(assigned),
      differs: sql`(${sql.join(different, sql` or `)})`,
      valid
    }
  }

  update(fields: string[]): Statement<Row> {
    return this.#compiled(`update ${fields.join()}`, () => {
      const { allowed, set, differs, valid } = this.#changesOf(fields)
      return sql`update ${this.#table} set ${set}, ${nextVersion}
        where ${and(byId, notDeleted, versionMatches, allowed, differs, ...valid)!}
        returning ${this.#returning}`
    })
  }

  /**
   * The record that an update did not match, with `?update`, whether the caller may change it,
   * `?differs` and, for each reference, `?<field>` as conditions.
   */
  explainUpdate(fields: string[]): Statement<Row & Values> {
    return this.#compiled(`explainUpdate ${fields.join()}`, () => {
      const { allowed, differs, references, valid } = this.#changesOf(fields)
      const checks = valid.map(
        (check, i) => sql`, ${check} as ${sql.identifier(`?${references[i]!.column.name}`)}`
      )
      return sql`select ${this.#returning}, (${allowed}) as "?update",
          ${differs} as "?differs"${sql.join(checks)}
        from ${this.#table} where ${byId} and ${notDeleted} and ${this.#mayDo('read')}`
    })
  }

  updateMany(fields: string[]): Statement<{ id: number }> {
    const alive = sql`record.deleted_at is null and ${reached('update', this.#name, 'record')}`
    return this.#setMany(`updateMany ${fields.join()}`, fields, alive)
  }

  /** Like `updateMany`, of locked records, and of `deleted_at` as well. */
  revertMany(fields: string[]): Statement<{ id: number }> {
    return this.#setMany(`revertMany ${fields.join()}`, fields, sql`true`)
  }

  #setMany(shape: string, fields: string[], condition: SQL): Statement<{ id: number }> {
    return this.#compiled(shape, () => {
      const columns = this.#columnsOf(fields)
      const names = identifiers(columns)
      const input = commaSeparated([sql`id bigint, version integer`, ...this.#typed(columns)])
      const set = commaSeparated(names.map(name => sql`${name} = input.${name}`))
      const different = names.map(name => sql`record.${name} is distinct from input.${name}`)
      return sql`update ${this.#table} record set ${set},
          version = record.version + 1, updated_at = now(), updated_by = ${author}
        from jsonb_to_recordset(${placeholder('changes')}::text::jsonb) as input (${input})
        where record.organization_id = ${organization} and record.id = input.id
          and ${condition} and (input.version is null or record.version = input.version)
          and (${sql.join(different, sql` or `)}) returning record.id`
    })
  }
}

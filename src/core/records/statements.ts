import type { SQL } from 'drizzle-orm'
import { and, sql } from '../db/drizzle.ts'
import { actor, author, compile, organization, type Statement, type Values } from '../db/sql.ts'
import type { Resource } from './resource.ts'
import {
  assignedTo,
  byIds,
  commaSeparated,
  identifiers,
  notDeleted,
  nothing,
  parameter,
  placeholder,
  StatementParts
} from './statement-parts.ts'

const byId = sql`organization_id = ${organization} and id = ${placeholder('id')}::bigint`
const versionMatches = sql`(${placeholder('versions')}::int[] is null
  or version = any(${placeholder('versions')}::int[]))`

/** The statements for single records of one table, compiled once for each set of fields. */
export class Statements<Row> extends StatementParts {
  readonly get: Statement<Row>
  readonly getAny: Statement<Row>
  readonly find: Statement<Row>
  readonly findAny: Statement<Row>
  /** With `?update`: whether the caller may change the record. */
  readonly lock: Statement<Row & Values>
  /** A record, deleted or not, with `?update` and `?delete`: what the caller may do to it. */
  readonly explain: Statement<Row & Values>
  readonly remove: Statement<Row>
  readonly restore: Statement<Row>
  /** For each required reference of a record, deleted or not, whether its record exists. */
  readonly parentsRemain: Statement<Record<string, boolean>>

  constructor(resource: Resource) {
    super(resource)
    const mayRead = this.mayDo('read')
    const mayUpdate = sql`${this.mayDo('update')} as "?update"`
    const mayDelete = sql`${this.mayDo('delete')} as "?delete"`
    const from = sql`from ${this.table}`
    const select = sql`select ${this.returning} ${from}`
    const one = sql`where ${byId} and ${mayRead}`
    const many = sql`where ${byIds} and ${mayRead}`
    this.get = compile(sql`${select} ${one} and ${notDeleted}`)
    this.getAny = compile(sql`${select} ${one}`)
    this.find = compile(sql`${select} ${many} and ${notDeleted}`)
    this.findAny = compile(sql`${select} ${many}`)
    this.lock = compile(sql`select ${this.returning}, ${mayUpdate} ${from}
      ${one} and ${notDeleted} for no key update`)
    this.explain = compile(sql`select ${this.returning}, ${mayUpdate}, ${mayDelete} ${from} ${one}`)
    this.remove = this.#mark(sql`now()`, notDeleted)
    const isDeleted = sql`deleted_at is not null`
    const remain = this.required.map(({ remains }) => remains)
    this.restore = this.#mark(sql`null`, and(isDeleted, ...remain)!)
    this.parentsRemain = compile(
      sql`select ${commaSeparated(
        this.required.map(
          ({ column, remains }) => sql`${remains} as ${sql.identifier(column.name)}`
        )
      )} from ${this.table} where ${byId} and ${mayRead}`
    )
  }

  #mark(deleted_at: SQL, condition: SQL): Statement<Row> {
    return compile(sql`update ${this.table} set deleted_at = ${deleted_at}, ${this.nextVersion}
      where ${byId} and ${condition} and ${versionMatches} and ${this.mayDo('delete')}
      returning ${this.returning}`)
  }

  insert(fields: string[]): Statement<Row> {
    return this.compiled(`insert ${fields.join()}`, () => {
      const columns = this.columnsOf(fields)
      const references = this.referencesIn(fields)
      const names = identifiers(columns).map(name => sql`, ${name}`)
      const values = columns.map(column => sql`, ${assignedTo(column, nothing, parameter(column))}`)
      return sql`insert into ${this.table}
        (organization_id, created_by, updated_by${sql.join(names)})
        select ${organization}, ${author}, ${actor}${sql.join(values)}
        where ${and(sql`true`, ...references.map(({ accepts }) => accepts()))!}
        returning ${this.returning}`
    })
  }

  /** For each reference among the fields, whether its record exists. */
  referencesExist(fields: string[]): Statement<Record<string, boolean>> {
    return this.compiled(`references ${fields.join()}`, () => {
      const checks = this.referencesIn(fields).map(
        ({ column, accepts }) => sql`${accepts()} as ${sql.identifier(column.name)}`
      )
      return sql`select ${commaSeparated(checks)}`
    })
  }

  update(fields: string[]): Statement<Row> {
    return this.compiled(`update ${fields.join()}`, () => {
      const { allowed, set, differs, valid } = this.changesOf(fields)
      return sql`update ${this.table} set ${set}, ${this.nextVersion}
        where ${and(byId, notDeleted, versionMatches, allowed, differs, ...valid)!}
        returning ${this.returning}`
    })
  }

  /**
   * The record that an update did not match, with `?update`, whether the caller may change it,
   * `?differs` and, for each reference, `?<field>` as conditions.
   */
  explainUpdate(fields: string[]): Statement<Row & Values> {
    return this.compiled(`explainUpdate ${fields.join()}`, () => {
      const { allowed, differs, references, valid } = this.changesOf(fields)
      const checks = valid.map(
        (check, i) => sql`, ${check} as ${sql.identifier(`?${references[i]!.column.name}`)}`
      )
      return sql`select ${this.returning}, (${allowed}) as "?update",
          ${differs} as "?differs"${sql.join(checks)}
        from ${this.table} where ${byId} and ${notDeleted} and ${this.mayDo('read')}`
    })
  }
}

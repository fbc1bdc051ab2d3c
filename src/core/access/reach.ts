import type { Limit, Limiter } from '../db/sql.ts'
import type { Access, Reach } from './permissions.ts'

/** A table of records that belong to users. */
interface OwnedTable {
  /** The resource: its permissions are `<path>:<action>`. */
  path: string
  /** Its type in links. */
  name: string
  /** The columns with the users it belongs to. */
  owners: readonly string[]
  /** For a membership: the column and the table of what it belongs to instead. */
  parent?: { column: string; table: string }
  /** Whether single ones can be shared. */
  isShareable: boolean
}

const ownedTables = new Map<string, OwnedTable>()

/** Defines which users the records of a table belong to, by its name. */
export function defineOwners(table: string, owned: OwnedTable): void {
  ownedTables.set(table, owned)
}

/** The columns with the users whom the records of a table belong to; none: the organization. */
export const ownersOf = (table: string): readonly string[] => ownedTables.get(table)?.owners ?? []

/** Whether single records of a resource, by its name, can be shared. */
export const isShareable = (name: string): boolean =>
  [...ownedTables.values()].some(owned => owned.name === name && owned.isShareable)

/** The resources by their tables, and all columns of these. */
const recordTables = new Map<string, { path: string; columns: readonly string[] }>()

/** Defines the columns of a table of records, of which roles can hide those that are fields. */
export function defineColumns(table: string, path: string, columns: readonly string[]): void {
  recordTables.set(table, { path, columns })
}

let shareTable: string | undefined

/**
 * Defines the table of shares: of the record `subject_type`, `subject_id` with a `user_id` or a
 * `team_id`, for `access` to read or to write.
 */
export function defineShares(table: string): void {
  shareTable = table
}

/**
 * Whether those with an access may read only some records of a table, which are found by their
 * owners; memberships are not: they belong to whom the other record belongs to, deleted or not.
 */
export function reachesByOwner(access: Access, table: string): boolean {
  const owned = ownedTables.get(table)
  return owned !== undefined && !owned.parent && access.reachOf(`${owned.path}:read`) !== 'all'
}

type Parameter = (name: string) => string
type Purpose = 'read' | 'export'

/** Up to so many records are few: see `few` in `Reached`. */
export const maxFew = 1000

/**
 * The one place that says which records a user reaches: `own` are those created by or assigned to
 * the user; `team`, by or to anyone in the user's teams; and those that were shared with the user
 * or with one of these teams. A record without owners belongs to the organization.
 *
 * Two limits are about reading, too, of records that are not deleted: `few` is the same condition
 * for those who reach few records, which finds these first; `owned` is how many these are, up to
 * one more than `maxFew`.
 */
export class Reached implements Limiter {
  readonly #access: Access
  readonly #purpose: Purpose
  static readonly #known: Record<Purpose, WeakMap<Access, Reached>> = {
    read: new WeakMap(),
    export: new WeakMap()
  }

  private constructor(access: Access, purpose: Purpose) {
    this.#access = access
    this.#purpose = purpose
  }

  /** What those with this access reach; `export`: what they may also export of what they read. */
  static by(access: Access, purpose: Purpose = 'read'): Reached {
    const all = this.#known[purpose]
    const known = all.get(access) ?? new Reached(access, purpose)
    all.set(access, known)
    return known
  }

  /** What may be done to a record is only done to one that may be read. */
  #neededFor(limit: Limit): Limit[] {
    const { action } = limit
    // `owned` is a number, of what may be read
    if (action === 'create' || action === 'owned') return [limit]
    if (!isReading(action)) return [{ ...limit, action: 'read' }, limit]
    return this.#purpose === 'read' ? [limit] : [limit, { ...limit, action: 'export' }]
  }

  #reachOf({ table, action }: Limit): Reach | undefined {
    const owned = ownedTables.get(table)
    if (!owned) return 'all'
    const needed = isReading(action) ? 'read' : action
    return this.#access.reachOf(`${owned.path}:${needed === 'reassign' ? 'update' : needed}`)
  }

  /** The fields of a resource, by its path, that those with this access do not see. */
  hiddenFields(path: string): ReadonlySet<string> {
    const hidden = this.#access.hiddenFields(`${path}:read`)
    if (this.#purpose === 'read') return hidden
    return hidden.union(this.#access.hiddenFields(`${path}:export`))
  }

  columnsOf(table: string): string {
    const record = recordTables.get(table)
    const hidden = record && this.hiddenFields(record.path)
    if (!hidden || hidden.size === 0) return '*'
    const shown = record.columns.filter(column => !hidden.has(column))
    return shown.map(column => `"${column}"`).join(', ')
  }

  keyOf(limit: Limit): string {
    return this.#neededFor(limit)
      .map(one => this.#reachOf(one) ?? 'none')
      .join('+')
  }

  conditionOf(limit: Limit, parameter: Parameter): string {
    const conditions = this.#neededFor(limit).map(one => this.#conditionFor(one, parameter))
    return `(${conditions.join(' and ')})`
  }

  #conditionFor(limit: Limit, parameter: Parameter): string {
    const reach = this.#reachOf(limit)
    if (reach === 'all') return 'true'
    if (reach === undefined) return 'false'
    const { action, table, alias } = limit
    const { parent } = ownedTables.get(table)!
    if (action === 'few') return isAmongFew(limit, reach, parameter)
    if (action === 'owned') return countOfOwned(table, reach, parameter)
    // what is not there yet belongs to whom its parent belongs to: the alias is that of the parent
    if (action === 'create') return belongsTo({ ...limit, table: parent!.table }, reach, parameter)
    if (!alias.includes('.')) return belongsTo(limit, reach, parameter)
    return existsIn(table, alias, parameter, alias =>
      belongsTo({ action, table, alias }, reach, parameter)
    )
  }
}

/** The condition that the row of a table whose ID a column has meets another one. */
function existsIn(
  table: string,
  column: string,
  parameter: Parameter,
  condition: (alias: string) => string
): string {
  const row = `reached_${table}`
  return `exists (select from ${table} ${row}
    where ${row}.organization_id = ${parameter('organization')} and ${row}.id = ${column}
      and ${condition(row)})`
}

function belongsTo({ action, table, alias }: Limit, reach: Reach, parameter: Parameter): string {
  const { owners, parent, isShareable } = ownedTables.get(table)!
  if (parent)
    return existsIn(parent.table, `${alias}.${parent.column}`, parameter, alias =>
      belongsTo({ action, table: parent.table, alias }, reach, parameter)
    )
  const users = reach === 'own' ? `= ${parameter('actor')}` : `= any(${parameter('colleagues')})`
  const conditions = owners.map(owner => `${alias}.${owner} ${users}`)
  if (isShareable && sharedFor[action])
    conditions.push(`${alias}.id = any(array(${idsOfShared(table, action, parameter)}))`)
  return `(${conditions.join(' or ')})`
}

/** The IDs of the records of a table that are shared with the user for an action. */
const idsOfShared = (table: string, action: string, parameter: Parameter): string =>
  `select subject_id from ${shareTable!}
    where organization_id = ${parameter('organization')}
      and subject_type = '${ownedTables.get(table)!.name}'
      and (user_id = ${parameter('actor')} or team_id = any(${parameter('teams')}))
      and access = any('${sharedFor[action]!}') and deleted_at is null`

const isReading = (action: string) => ['read', 'few', 'owned'].includes(action)

const isAmongFew = ({ table, alias }: Limit, reach: Reach, parameter: Parameter): string =>
  `${alias}.id = any(array(${idsOfOwned(table, reach, parameter)}))`

function countOfOwned(table: string, reach: Reach, parameter: Parameter): string {
  const ids = idsOfOwned(table, reach, parameter, `order by id limit ${maxFew + 1}`)
  return `cardinality(array(${ids} limit ${maxFew + 1}))`
}

/**
 * The IDs of the records of a table that are reached; some of them twice. Each user's are read from
 * the index of their column; `limit` is for each.
 */
function idsOfOwned(table: string, reach: Reach, parameter: Parameter, limit = ''): string {
  const { owners, isShareable } = ownedTables.get(table)!
  const users = reach === 'own' ? `array[${parameter('actor')}]` : parameter('colleagues')
  const ids = owners.map(
    owner => `select owned.id from unnest(${users}) owner (id), lateral (
      select id from ${table} where organization_id = ${parameter('organization')}
        and ${owner} = owner.id and deleted_at is null ${limit}) owned`
  )
  if (isShareable) ids.push(idsOfShared(table, 'read', parameter))
  return ids.join(' union all ')
}

/**
 * The access that a record must be shared for. To delete it or to give it to others (`reassign`),
 * nobody shares it.
 */
const sharedFor: Record<string, string> = {
  read: '{read,write}',
  export: '{read,write}',
  create: '{write}',
  update: '{write}'
}

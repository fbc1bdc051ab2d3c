import type { Limit, Limiter } from '../db/sql.ts'
import type { Access, Reach } from './permissions.ts'

/** A table of records that belong to users. */
export interface OwnedTable {
  /** The resource: its permissions are `<path>:<action>`. */
  path: string
  /** Its type in links. */
  name: string
  /** The columns with the users it belongs to. */
  owners: readonly string[]
  /** For a membership: the column and the table of what it belongs to instead. */
  parent?: { column: string; table: string }
}

const ownedTables = new Map<string, OwnedTable>()

/** Defines which users the records of a table belong to, by its name. */
export function defineOwners(table: string, owned: OwnedTable): void {
  ownedTables.set(table, owned)
}

/** Whether the records of a resource, by its name, belong to users. */
export const isOwned = (name: string): boolean =>
  [...ownedTables.values()].some(owned => owned.name === name)

let shareTable: string | undefined

/**
 * Defines the table of shares: of the record `subject_type`, `subject_id` with a `user_id` or a
 * `team_id`, for `access` to read or to write.
 */
export function defineShares(table: string): void {
  shareTable = table
}

type Parameter = (name: string) => string

/**
 * The one place that says which records a user reaches: `own` are those created by or assigned to
 * the user; `team`, by or to anyone in the user's teams; and those that were shared with the user
 * or with one of these teams. A record without owners belongs to the organization.
 */
export class Reached implements Limiter {
  readonly #access: Access
  static readonly #known = new WeakMap<Access, Reached>()

  private constructor(access: Access) {
    this.#access = access
  }

  /** What those with this access reach. */
  static by(access: Access): Reached {
    const known = this.#known.get(access) ?? new Reached(access)
    this.#known.set(access, known)
    return known
  }

  #reachOf({ table, action }: Limit): Reach | undefined {
    const owned = ownedTables.get(table)
    return owned ? this.#access.reachOf(`${owned.path}:${action}`) : 'all'
  }

  keyOf(limit: Limit): string {
    return neededFor(limit)
      .map(one => this.#reachOf(one) ?? 'none')
      .join('+')
  }

  conditionOf(limit: Limit, parameter: Parameter): string {
    const conditions = neededFor(limit).map(one => this.#conditionFor(one, parameter))
    return `(${conditions.join(' and ')})`
  }

  #conditionFor(limit: Limit, parameter: Parameter): string {
    const reach = this.#reachOf(limit)
    if (reach === 'all') return 'true'
    if (reach === undefined) return 'false'
    const { action, table, alias } = limit
    if (!alias.includes('.')) return belongsTo(limit, reach, parameter)
    return existsIn(table, alias, parameter, alias =>
      belongsTo({ action, table, alias }, reach, parameter)
    )
  }
}

/** What may be done to a record is only done to one that may be read. */
const neededFor = (limit: Limit): Limit[] =>
  limit.action === 'read' ? [limit] : [{ ...limit, action: 'read' }, limit]

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
  const { name, owners, parent } = ownedTables.get(table)!
  if (parent)
    return existsIn(parent.table, `${alias}.${parent.column}`, parameter, alias =>
      belongsTo({ action, table: parent.table, alias }, reach, parameter)
    )
  const users = reach === 'own' ? `= ${parameter('actor')}` : `= any(${parameter('colleagues')})`
  const conditions = owners.map(owner => `${alias}.${owner} ${users}`)
  const access = sharedFor[action]
  if (access)
    conditions.push(`${alias}.id = any(array(select subject_id from ${shareTable!}
      where organization_id = ${parameter('organization')} and subject_type = '${name}'
        and (user_id = ${parameter('actor')}
          or team_id = any(${parameter('teams')}))
        and access = any('${access}') and deleted_at is null))`)
  return `(${conditions.join(' or ')})`
}

/** The access that a record must be shared for. To delete it, nobody shares it. */
const sharedFor: Record<string, string> = { read: '{read,write}', update: '{write}' }

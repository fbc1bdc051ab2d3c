import type { TObject, TSchema } from '@sinclair/typebox'
import type { InferInsertModel, InferSelectModel, SQL } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { actions, definePermission } from '../access/permissions.ts'
import { defineColumns, defineOwners } from '../access/reach.ts'
import {
  columnNamed,
  visibleColumns,
  type InternalColumn,
  type record,
  type RecordTable
} from '../db/columns.ts'
import { getTableColumns, getTableConfig, getTableName } from '../db/drizzle.ts'
import { defined } from '../defined.ts'
import { kebabCase, words } from '../names.ts'
import { externalFilters } from './external-ids.ts'
import type { VirtualFilters } from './filter.ts'

/**
 * Related records that a field refers to: its column, a list of IDs and the table of those, or a
 * list of links (`{ type, id }`), of which the names are included.
 */
export type IncludedField = string | { ids: string; of: RecordTable } | { links: string }

/**
 * What a resource is. Everything that concerns all resources is derived from this. The type
 * parameters are its table, its hidden columns, and its schemas: of a record, and of the bodies
 * that create and change one.
 */
export interface Definition<
  T extends RecordTable = RecordTable,
  H extends string = string,
  S extends TObject = TObject,
  N extends TObject = TObject,
  C extends TObject = TObject
> {
  /** The record in the singular, as in its events: `campaign_member`. */
  name: string
  /** `campaign_members`; with hyphens it is the path, the permissions and the document's tag. */
  plural: string
  /** What the records are, for the document. */
  description?: string
  table: T
  /** Its link tables, whose foreign keys count as those of its records. */
  linkTables?: readonly PgTable[]
  /** The record as it is returned, and what creates and changes one. */
  schema?: S
  create?: N
  update?: C
  /** What every role may see of a record where it is included in another: `<path>:summary`. */
  summary?: TObject
  /** Fields that lists are filtered by, sorted by, and searched in. */
  filters?: readonly string[]
  sorts?: readonly string[]
  search?: readonly string[]
  /** The columns by which lists sort fields whose order is not that of their values. */
  sortColumns?: Readonly<Record<string, PgColumn>>
  /** Filters that are not fields. */
  virtualFilters?: VirtualFilters
  /**
   * Names in `include` of single records of other resources that say who or what a record is about:
   * `q` searches them too, and their filters are filters of the record (`contact.email`).
   */
  related?: readonly string[]
  /**
   * Fields whose value tells which record is meant, compared as lists do: `match` finds a record by
   * one of them. Lists filter by them.
   */
  identifiers?: readonly string[]
  /** Related records, by the names that `include` knows them by. */
  include?: Readonly<Record<string, IncludedField>>
  /** Fields of any record that name one of these without a foreign key, and can be included. */
  namedBy?: readonly string[]
  /** Fields that appear wherever a record does, so that no role hides them; besides its title. */
  essential?: readonly string[]
  /** Columns that never leave the database, also not in events (see its `CALL watch_records`). */
  hidden?: readonly H[]
  /** The name of a record for people: SQL on its own columns. */
  title?: SQL
  /** What records must be, besides not deleted, to be newly referred to: SQL on its own columns. */
  available?: SQL
  /**
   * Whose the records are: by default, of the users who created them or whom they are assigned to.
   * `shared` ones are everyone's, `personal` ones of the user in `user_id` and of admins;
   * `settings` are read by everyone, `administration` by admins, who write both.
   */
  access?: 'shared' | 'personal' | 'settings' | 'administration'
  /** The field that a record is a membership in, such as `campaign_id`. */
  membershipIn?: string
  /** The column whose transitions are logged. */
  transitions?: string
}

export interface Resource<
  T extends RecordTable = RecordTable,
  H extends string = string,
  S extends TObject = TObject,
  N extends TObject = TObject,
  C extends TObject = TObject
> extends Definition<T, H, S, N, C> {
  /** `campaign member`. */
  label: string
  /** `campaign members`. */
  pluralLabel: string
  /** `campaign-members`: its path below `/api`, its permissions and its tag. */
  path: string
  /** Columns of the record that callers see. */
  columns: Record<string, PgColumn>
  /** What `related` names, by these names. */
  relatedRecords: () => Record<string, Reference>
}

/** A record of a table as it is stored, cached and sent: every column but the hidden ones. */
export type Row<T extends RecordTable, H extends string = never> = Omit<
  InferSelectModel<T>,
  InternalColumn | H
> & { id: number; version: number }

/** A record of a resource: `RowOf<typeof leadResource>`. */
export type RowOf<R> = R extends Resource<infer T, infer H> ? Row<T, H> : never

/** What a new record may be given: every column but those that the server sets. */
export type New<T extends RecordTable> = Omit<
  InferInsertModel<T>,
  keyof ReturnType<typeof record> | 'search_text'
>

export type Changes<T extends RecordTable> = Partial<New<T>>

const resources = new Map<string, Resource>()

/** Defines a resource, once per process. */
export function defineResource<
  T extends RecordTable,
  S extends TObject = TObject,
  N extends TObject = TObject,
  C extends TObject = TObject,
  const H extends string = never
>(definition: Definition<T, H, S, N, C>): Resource<T, H, S, N, C> {
  const path = kebabCase(definition.plural)
  const resource = {
    ...definition,
    label: words(definition.name),
    pluralLabel: words(definition.plural),
    path,
    virtualFilters: {
      ...definition.virtualFilters,
      ...externalFilters(definition.table, definition.name)
    },
    columns: visibleColumns(definition.table, definition.hidden),
    // when it is asked for: the other resource may be defined later
    relatedRecords: () => {
      const { related = [] } = definition
      return Object.fromEntries(related.map(name => [name, includedReference(resource, name)]))
    }
  }
  definePermissions(resource)
  resources.set(definition.name, resource)
  return resource
}

/** The columns with the users whom a record belongs to. */
const ownerColumns = ['created_by', 'assigned_to']
const personalOwner = ['user_id']

/** The group of a resource: `records` are what people work with, others configure that. */
export const groupOf = ({ access }: Pick<Definition, 'access'>) =>
  access === undefined || access === 'shared' ? 'records' : access

function definePermissions(resource: Resource): void {
  const { name, path, table, schema, summary, access, membershipIn } = resource
  const audience = groupOf(resource)
  const isOwned = (access === undefined || access === 'personal') && schema !== undefined
  for (const action of actions) definePermission(`${path}:${action}`, audience, isOwned)
  if (summary) definePermission(`${path}:summary`, 'everyone')
  defineColumns(getTableName(table), path, Object.keys(getTableColumns(table)))
  if (!isOwned) return
  const owners =
    access === 'personal' ? personalOwner : ownerColumns.filter(column => column in table)
  const key = getTableConfig(table).foreignKeys.find(
    key => key.reference().columns.at(-1)!.name === membershipIn
  )
  const parent = key && {
    column: membershipIn!,
    table: getTableName(key.reference().foreignTable)
  }
  const isShareable = access === undefined && !parent
  defineOwners(getTableName(table), { path, name, owners, isShareable, ...defined({ parent }) })
}

/** All resources, in the order of their definition. */
export const allResources = (): Resource[] => [...resources.values()]

/** The resource of a name. Errors: of the program, if there is none. */
export function resourceNamed(name: string): Resource {
  const resource = resources.get(name)
  if (!resource) throw new Error(`there is no resource ${name}`)
  return resource
}

/** The resource whose records a table holds, if it is one. */
export const resourceOf = (table: PgTable): Resource | undefined =>
  allResources().find(resource => resource.table === table)

/** A column that refers to records of a resource, and whose column it is. */
export interface Reference {
  from: Resource
  table: PgTable
  column: PgColumn
  to: Resource
}

/** The foreign keys of a resource and its link tables that point at records. */
export function referencesOf(from: Resource): Reference[] {
  return [from.table, ...(from.linkTables ?? [])].flatMap(table =>
    getTableConfig(table).foreignKeys.flatMap(key => {
      const { columns, foreignTable } = key.reference()
      const to = resourceOf(foreignTable)
      // foreign keys have the organization first
      const column = columnNamed(table, columns.at(-1)!.name)
      return to ? [{ from, table, column, to }] : []
    })
  )
}

/** The foreign key behind a name in `include`. Errors: of the program, if there is none. */
export function includedReference(resource: Resource, name: string): Reference {
  const { table, include } = resource
  const reference = referencesOf(resource).find(
    one => one.table === table && one.column.name === include?.[name]
  )
  if (!reference) throw new Error(`${resource.name} includes ${name}, which refers to no resource`)
  return reference
}

/** What each field of a resource refers to: by a foreign key, or by a list of IDs. */
export function targetsOf(resource: Resource): Map<string, Resource> {
  const single = referencesOf(resource)
    .filter(({ table }) => table === resource.table)
    .map(({ column, to }) => [column.name, to] as const)
  const lists = Object.values(resource.include ?? {}).flatMap(included =>
    typeof included === 'object' && 'ids' in included
      ? [[included.ids, resourceOf(included.of)!] as const]
      : []
  )
  return new Map([...single, ...lists])
}

/** What points at records of a resource, in the order of definition. */
export const referencesTo = (to: Resource): Reference[] =>
  allResources()
    .flatMap(referencesOf)
    .filter(reference => reference.to === to)

/** The fields of a record that callers read and never write. */
export const serverSetFields = ({ schema, create, update }: Definition): string[] =>
  Object.keys(schema?.properties ?? {}).filter(
    field => !(field in (create?.properties ?? {})) && !(field in (update?.properties ?? {}))
  )

/** The fields of a record that an update cannot change: those the server sets, and keys. */
export const fixedFields = ({ schema, update }: Definition): string[] =>
  Object.keys(schema?.properties ?? {}).filter(field => !(field in (update?.properties ?? {})))

/** The schema of one field. Errors: of the program, for a field that the record does not have. */
export function fieldSchema(record: TObject, field: string): TSchema {
  const schema = record.properties[field]
  if (!schema) throw new Error(`${record.$id} has no field ${field}`)
  return schema
}

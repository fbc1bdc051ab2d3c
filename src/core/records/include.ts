import { Type, type TObject, type TSchema } from '@sinclair/typebox'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import type { Context } from '../access/context.ts'
import { columnNamed } from '../db/columns.ts'
import { unknownParameter } from '../errors.ts'
import { Instant, Nullable, Ref, Text } from '../http/schema.ts'
import type { ListQuery } from './list.ts'
import { namesOf } from './names.ts'
import { repository } from './repository.ts'
import {
  allResources,
  fieldSchema,
  includedReference,
  resourceNamed,
  resourceOf,
  type Resource
} from './resource.ts'
import { isHidden, shownOf } from './visibility.ts'

type Row = Record<string, unknown>

/**
 * What every related record needs: its schema as it is included, the right to see it, and the
 * columns that say which it is.
 */
interface Shown {
  schema: TSchema
  permission: string
  reads: PgColumn[]
}

/** Records that a field refers to, by ID or by a list of IDs. */
interface Referenced extends Shown {
  field: string
  find: (ctx: Context, ids: number[]) => Promise<{ id: number }[]>
}

/** Records of a resource that belong to each of ours, loaded for all of ours at once. */
export interface Owned extends Shown {
  of: Resource
  load: (ctx: Context, ids: number[], query: ListQuery) => Promise<Map<number, object[]>>
}

/** Records of several types that a field lists as `{ type, id }`: their names. */
interface Linked extends Shown {
  links: string
}

export type Relation = Referenced | Owned | Linked
export type Relations = Record<string, Relation>

/** The field that a relation needs to be read. */
export function fieldOf(relation: Relation): string {
  if ('field' in relation) return relation.field
  return 'links' in relation ? relation.links : 'id'
}

/**
 * The relations that a resource declares, resolved through its foreign keys, and those that all
 * resources have.
 */
export const relationsOf = (resource: Resource): Relations => ({
  ...declaredBy(resource),
  ...commonTo(resource)
})

function commonTo(resource: Resource): Relations {
  const relations = allResources().flatMap(target =>
    (target.namedBy ?? [])
      .filter(field => field in (resource.schema?.properties ?? {}))
      .map(field => [field, referenceTo(target, resource, field)] as const)
  )
  return Object.fromEntries(relations)
}

function declaredBy(resource: Resource): Relations {
  const relations = Object.entries(resource.include ?? {}).map(([name, included]) => {
    if (typeof included === 'object' && 'links' in included)
      return [name, linksOf(resource, included.links)] as const
    if (typeof included === 'object') {
      const { ids, of } = included
      const target = targetOf(resource, name, of)
      const { maxItems } = fieldSchema(resource.schema!, ids)
      const schema = Type.Array(Ref(target.summary ?? target.schema!), { maxItems })
      return [name, { ...referenceTo(target, resource, ids), schema }] as const
    }
    return [name, referenceTo(includedReference(resource, name).to, resource, included)] as const
  })
  return Object.fromEntries(relations)
}

function targetOf(resource: Resource, name: string, table: PgTable): Resource {
  const target = resourceOf(table)
  if (!target) throw new Error(`${resource.name} includes ${name}, which refers to no resource`)
  return target
}

/**
 * The records of `target` that a field of `from` refers to. A summary says who or what it was, so
 * it is also there for a deleted record.
 */
function referenceTo(target: Resource, from: Resource, field: string): Referenced {
  const { find, findWithDeleted } = repository(target)
  const { summary } = target
  const reads = [columnNamed(from.table, field)]
  if (!summary)
    return {
      field,
      reads,
      schema: Ref(target.schema!),
      permission: `${target.path}:read`,
      find: async (ctx, ids) => (await find(ctx, ids)).map(row => shownOf(ctx, target, row))
    }
  const names = Object.keys(summary.properties)
  return {
    field,
    reads,
    schema: Ref(summary),
    permission: `${target.path}:summary`,
    find: async (ctx, ids) =>
      (await findWithDeleted(ctx, ids)).map(row => pick(row, names) as { id: number })
  }
}

/** Linked records are only named, and so are deleted ones. */
function linksOf({ schema, path, table }: Resource, links: string): Linked {
  const { items, maxItems } = fieldSchema(schema!, links)
  const link = Type.Object(
    {
      ...(items as TObject).properties,
      name: Text(400, { description: 'Name of the record.', example: 'John Doe' }),
      deleted_at: Nullable(
        Instant({ description: 'Time of deletion; null if not deleted.', example: null })
      )
    },
    { additionalProperties: false }
  )
  const description = 'The linked records that the caller may read, by name.'
  // each type of record needs its own permission as well: see loadLinked
  return {
    links,
    schema: Type.Array(link, { maxItems, description }),
    permission: `${path}:read`,
    reads: [columnNamed(table, links)]
  }
}

const pick = (row: object, names: string[]): Row =>
  Object.fromEntries(names.map(name => [name, (row as Row)[name]]))

/** Errors: 403 for a relation that the caller may not read, 400 for one that is not seen. */
export function assertReadable(ctx: Context, relations: Relations, requested: string[]): void {
  for (const name of requested) {
    const { permission, reads } = relations[name]!
    ctx.require(permission)
    if (reads.some(column => isHidden(ctx, column))) throw unknownParameter('include', name)
  }
}

/**
 * The requested relations of each row, in the order of the rows: one query for each relation, or
 * for each type of record that one links to. Errors: as `assertReadable`.
 */
export async function loadRelated(
  ctx: Context,
  rows: Row[],
  relations: Relations,
  requested: string[],
  query: ListQuery
): Promise<Row[]> {
  assertReadable(ctx, relations, requested)
  const loaded = await Promise.all(
    requested.map(
      async name => [name, await relatedBy(ctx, rows, relations[name]!, query)] as const
    )
  )
  return rows.map(row =>
    Object.fromEntries(
      loaded
        .map(([name, relatedTo]) => [name, relatedTo(row)] as const)
        .filter(([, related]) => related !== undefined)
    )
  )
}

async function relatedBy(ctx: Context, rows: Row[], relation: Relation, query: ListQuery) {
  if ('field' in relation) return await loadReferenced(ctx, rows, relation)
  if ('links' in relation) return await loadLinked(ctx, rows, relation)
  return await loadOwned(ctx, rows, relation, query)
}

async function loadReferenced(ctx: Context, rows: Row[], { field, find }: Referenced) {
  const ids = new Set(rows.flatMap(row => row[field]).filter(id => typeof id === 'number'))
  const byId = new Map((await find(ctx, [...ids])).map(record => [record.id, record]))
  return (row: Row) => {
    const id = row[field]
    if (Array.isArray(id)) return id.flatMap(one => byId.get(one as number) ?? [])
    return byId.get(id as number)
  }
}

async function loadOwned(ctx: Context, rows: Row[], { of, load }: Owned, query: ListQuery) {
  const byId = await load(
    ctx,
    rows.map(row => row.id as number),
    query
  )
  return (row: Row) => byId.get(row.id as number)?.map(owned => shownOf(ctx, of, owned)) ?? []
}

interface Link {
  type: string
  id: number
}

/** The names of linked records, as far as the caller may read those. */
async function loadLinked(ctx: Context, rows: Row[], { links }: Linked) {
  const linksIn = (row: Row) => row[links] as Link[]
  const readable = rows
    .flatMap(linksIn)
    .filter(({ type }) => ctx.can(`${resourceNamed(type).path}:read`))
  const found = await Promise.all(
    [...Map.groupBy(readable, ({ type }) => type)].map(async ([type, group]) => {
      const ids = new Set(group.map(({ id }) => id))
      const named = await namesOf(ctx, type, [...ids])
      return [type, new Map(named.map(record => [record.id, record]))] as const
    })
  )
  const byType = new Map(found)
  return (row: Row) =>
    linksIn(row).flatMap(({ type, id }) => {
      const record = byType.get(type)?.get(id)
      return record ? [{ type, ...record }] : []
    })
}

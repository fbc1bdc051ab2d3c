import { Type, type TSchema } from '@sinclair/typebox'
import type { PgTable } from 'drizzle-orm/pg-core'
import type { Context } from '../access/context.ts'
import { Ref } from '../http/schema.ts'
import type { ListQuery } from './list.ts'
import { repository } from './repository.ts'
import { fieldSchema, referencesOf, resourceOf, type Resource } from './resource.ts'

type Row = Record<string, unknown>

/** What every related record needs: its schema as it is included, and the right to see it. */
interface Shown {
  schema: TSchema
  permission: string
}

/** Records that a field refers to, by ID or by a list of IDs. */
interface Referenced extends Shown {
  field: string
  find: (ctx: Context, ids: number[]) => Promise<{ id: number }[]>
}

/** Records that belong to each of ours, loaded for all of ours at once. */
export interface Owned extends Shown {
  load: (ctx: Context, ids: number[], query: ListQuery) => Promise<Map<number, object[]>>
}

export type Relation = Referenced | Owned
export type Relations = Record<string, Relation>

/** The field that a relation needs to be read. */
export const fieldOf = (relation: Relation): string => ('field' in relation ? relation.field : 'id')

/** The relations that a resource declares, resolved through its foreign keys. */
export function relationsOf(resource: Resource): Relations {
  const references = referencesOf(resource)
  const relations = Object.entries(resource.include ?? {}).map(([name, included]) => {
    if (typeof included === 'object') {
      const { ids, of } = included
      const target = targetOf(resource, name, of)
      const { maxItems } = fieldSchema(resource.schema!, ids)
      const schema = Type.Array(Ref(target.summary ?? target.schema!), { maxItems })
      return [name, { ...referenceTo(target, ids), schema }] as const
    }
    const reference = references.find(
      ({ table, column }) => table === resource.table && column.name === included
    )
    const target = targetOf(resource, name, reference?.to.table)
    return [name, referenceTo(target, included)] as const
  })
  return Object.fromEntries(relations)
}

function targetOf(resource: Resource, name: string, table: PgTable | undefined): Resource {
  const target = table && resourceOf(table)
  if (!target) throw new Error(`${resource.name} includes ${name}, which refers to no resource`)
  return target
}

function referenceTo(target: Resource, field: string): Referenced {
  const { find } = repository(target)
  const { summary } = target
  if (!summary) {
    const permission = `${target.path}:read`
    return { field, find, schema: Ref(target.schema!), permission }
  }
  const names = Object.keys(summary.properties)
  return {
    field,
    schema: Ref(summary),
    permission: `${target.path}:summary`,
    find: async (ctx, ids) => (await find(ctx, ids)).map(row => pick(row, names) as { id: number })
  }
}

const pick = (row: object, names: string[]): Row =>
  Object.fromEntries(names.map(name => [name, (row as Row)[name]]))

/** The requested relations of each row, in the order of the rows: one query for each relation. */
export async function loadRelated(
  ctx: Context,
  rows: Row[],
  relations: Relations,
  requested: string[],
  query: ListQuery
): Promise<Row[]> {
  const loaded = await Promise.all(
    requested.map(async name => {
      const relation = relations[name]!
      ctx.require(relation.permission)
      const relatedTo =
        'field' in relation
          ? await loadReferenced(ctx, rows, relation)
          : await loadOwned(ctx, rows, relation, query)
      return [name, relatedTo] as const
    })
  )
  return rows.map(row =>
    Object.fromEntries(
      loaded
        .map(([name, relatedTo]) => [name, relatedTo(row)] as const)
        .filter(([, related]) => related !== undefined)
    )
  )
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

async function loadOwned(ctx: Context, rows: Row[], { load }: Owned, query: ListQuery) {
  const byId = await load(
    ctx,
    rows.map(row => row.id as number),
    query
  )
  return (row: Row) => byId.get(row.id as number) ?? []
}

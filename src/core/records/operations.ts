import type { Context } from '../access/context.ts'
import { definePermission } from '../access/permissions.ts'
import { defineOwners } from '../access/reach.ts'
import { identifier, instant } from '../db/columns.ts'
import {
  foreignKey,
  getTableColumns,
  index,
  pgTable,
  primaryKey,
  sql,
  text,
  uniqueIndex
} from '../db/drizzle.ts'
import { organization } from '../db/sql.ts'
import { notFound } from '../errors.ts'
import { Lists, type ListQuery, type Page } from './list.ts'
import { allResources } from './resource.ts'

/** Days for which an operation can be undone. */
export const undoDays = 30

/**
 * What changes several records as one step, by one user: its events have its ID. `created_by` and
 * what follows it are the user, the credential and the request. `undo_of` is what it undoes.
 */
export const operations = pgTable(
  'operations',
  {
    id: identifier().notNull().generatedAlwaysAsIdentity(),
    organization_id: identifier().notNull(),
    // `text`: compared as it is, unlike names (see `keyOf`)
    kind: text().notNull(),
    created_by: identifier(),
    session_id: identifier(),
    api_token_id: identifier(),
    request_id: text(),
    undo_of: identifier(),
    created_at: instant().notNull().defaultNow()
  },
  t => [
    primaryKey({ name: 'operations_key', columns: [t.organization_id, t.id] }),
    index('idx_operations_created_by').on(t.organization_id, t.created_by, t.id),
    index('idx_operations_kind').on(t.organization_id, t.kind, t.id),
    index('idx_operations_request_id').on(t.organization_id, t.request_id, t.id),
    index('idx_operations_created_at').on(t.organization_id, t.created_at, t.id),
    // nothing is undone twice
    uniqueIndex('operations_undo_of_unique')
      .on(t.organization_id, t.undo_of)
      .where(sql`undo_of is not null`),
    foreignKey({
      name: 'operations_undo_of_reference',
      columns: [t.organization_id, t.undo_of],
      foreignColumns: [t.organization_id, t.id]
    })
  ]
)

const path = 'operations'
for (const action of ['read', 'update', 'export'])
  definePermission(`${path}:${action}`, 'own', true)
defineOwners(path, { path, name: 'operation', owners: ['created_by'], isShareable: false })

/** The kind of an operation that undoes another one. */
export const undoKind = 'undo'
const kinds = new Set([undoKind])

/** Defines a kind of operation. Returns its name. */
export function defineOperation(kind: string): string {
  kinds.add(kind)
  return kind
}

/** All kinds of operations, in alphabetical order. */
export const operationKinds = (): string[] => [...kinds].toSorted()

/** Records that an operation changed, by what it did to them in the end. */
interface Counts {
  created: number
  updated: number
  deleted: number
  restored: number
}

export interface Operation {
  id: number
  kind: string
  created_by: number | null
  session_id: number | null
  api_token_id: number | null
  request_id: string | null
  created_at: string
  undoable_until: string
  undo_of: number | null
  undone_by: number | null
  counts: Counts
}
type Stored = Omit<Operation, 'undoable_until' | 'undone_by' | 'counts'>

const { organization_id: _, ...columns } = getTableColumns(operations)
const lists = new Lists<Stored>({ name: 'operation', table: operations, columns })

/** One page of the operations that the caller may see, newest first. Errors: as `Lists.list`. */
export async function listOperations(ctx: Context, query: ListQuery): Promise<Page<Operation>> {
  const { data, ...page } = await lists.list(ctx, whole(query))
  return { data: await withCounts(ctx, data), ...page }
}

/** All of them, in batches. Errors: as `Lists.stream`. */
export async function* streamOperations(
  ctx: Context,
  query: ListQuery
): AsyncGenerator<Operation[]> {
  for await (const operations of lists.stream(ctx, whole(query)))
    yield await withCounts(ctx, operations)
}

/** With all fields, whichever are requested: some are computed from others. */
const whole = ({ fields: _, ...query }: ListQuery): ListQuery => query

/** One operation. Errors: 404, also for one of another user. */
export async function getOperation(ctx: Context, id: number): Promise<Operation> {
  const filters = [{ field: 'id', operator: 'eq' as const, value: id }]
  const found = await lists.first(ctx, { filters })
  if (!found) throw notFound('operation')
  return (await withCounts(ctx, [found]))[0]!
}

async function withCounts(ctx: Context, found: Stored[]): Promise<Operation[]> {
  if (found.length === 0) return []
  const ids = found.map(({ id }) => id)
  const [counts, undone] = await Promise.all([
    countsOf(ctx, ids),
    ctx.read<{ id: number; undo_of: number }>(sql`select id, undo_of from ${operations}
      where organization_id = ${organization} and undo_of = any(${sql.param(ids)}::bigint[])`)
  ])
  return found.map(operation => ({
    ...operation,
    undoable_until: undoableUntil(operation),
    undone_by: undone.find(({ undo_of }) => undo_of === operation.id)?.id ?? null,
    counts: counts.get(operation.id) ?? { created: 0, updated: 0, deleted: 0, restored: 0 }
  }))
}

export const undoableUntil = ({ created_at }: Pick<Stored, 'created_at'>): string =>
  new Date(Date.parse(created_at) + undoDays * 86_400_000).toISOString()

/**
 * What operations did, by their IDs. Of those of other users, only records are counted of which the
 * caller may read all.
 */
async function countsOf(ctx: Context, ids: number[]): Promise<Map<number, Counts>> {
  const shown = allResources().filter(({ schema }) => schema !== undefined)
  const types = shown.map(({ name }) => name)
  const readable = shown
    .filter(({ path }) => ctx.principal.access.reachOf(`${path}:read`) === 'all')
    .map(({ name }) => name)
  const rows = await ctx.aggregate<Counts & { id: number }>(sql`
    with changes as (
      select e.operation_id, e.subject_type, e.subject_id, split_part(e.type, '.', 2) as op, e.id
      from events e join ${operations} o
        on o.organization_id = e.organization_id and o.id = e.operation_id
      where e.organization_id = ${organization}
        and e.operation_id = any(${sql.param(ids)}::bigint[]) and e.details is null
        and e.subject_type = any(case when o.created_by = ${ctx.user_id}::bigint
          then ${sql.param(types)}::text[] else ${sql.param(readable)}::text[] end)
    ), records as (
      select operation_id,
        bool_or(op = 'created') as created,
        (array_agg(op order by id desc) filter (where op <> 'updated'))[1] as last
      from changes group by operation_id, subject_type, subject_id
    )
    select operation_id as id,
      count(*) filter (where created and last in ('created', 'restored')) as created,
      count(*) filter (where last is null) as updated,
      count(*) filter (where not created and last in ('deleted', 'purged')) as deleted,
      count(*) filter (where not created and last = 'restored') as restored
    from records group by operation_id`)
  return new Map(rows.map(({ id, ...counts }) => [id, counts]))
}

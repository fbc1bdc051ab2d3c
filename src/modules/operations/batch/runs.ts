import type { Context } from '../../../core/access/context.ts'
import { allResources, type Resource } from '../../../core/records/resource.ts'
import { repository } from '../../../core/records/repository.ts'
import { undoingOf } from '../../../core/records/undoing.ts'
import type { Item } from './items.ts'

/** The places of operations in a batch: from the first one up to the second. */
export type Range = readonly [start: number, end: number]

/** What operations have in common that are one statement; undefined for one that is not. */
function shapeOf(ctx: Context, { kind, served, operation }: Item): string | undefined {
  const { together } = kind
  if (!together) return undefined
  const { resource, service } = served
  if (service[together.method] !== (repository(resource)[together.method] as unknown))
    return undefined
  const { shapeOf = () => '' } = together
  const shape = shapeOf(served, ctx, operation.data ?? {})
  return shape === undefined ? undefined : `${resource.name} ${together.method} ${shape}`
}

const keysOf = ({ operation }: Item) => Object.keys(operation.data ?? {}).join()

/** Whether two operations look the same, and so have the same shape: nearly all in a row do. */
const isTwin = (a: Item, b: Item): boolean =>
  a.served === b.served && a.operation.op === b.operation.op && keysOf(a) === keysOf(b)

/**
 * The operations from an index on, and before another one, that are one statement: alike, each of
 * another record, which is known by then. At least the first one. `idOf`: the ID of the record of
 * an operation, if it is for one.
 */
export function runFrom(
  ctx: Context,
  items: Item[],
  [start, end]: Range,
  idOf: (item: Item) => number | undefined
): [Item, ...Item[]] {
  const first = items[start]!
  const run: [Item, ...Item[]] = [first]
  const shape = shapeOf(ctx, first)
  if (shape === undefined) return run
  const ids = new Set([idOf(first)])
  for (let i = start + 1; i < end; i++) {
    const item = items[i]!
    const isReady = item.dependencies.values().every(at => at < start)
    if (!isReady || !(isTwin(item, items[i - 1]!) || shapeOf(ctx, item) === shape)) break
    const id = idOf(item)
    if (id !== undefined && ids.has(id)) break
    ids.add(id)
    run.push(item)
  }
  return run
}

/** What a record is known by among those of all types. */
export const recordKey = ({ name }: Pick<Resource, 'name'>, id: number): string => `${name}/${id}`

/**
 * Locks the records that operations name by their IDs, in an order that all batches have: they
 * never wait for each other in a circle. What others lock before what it refers to comes first.
 * Returns the versions of those that the caller reads and may change, by `recordKey`.
 */
export async function holdAll(ctx: Context, items: Item[]): Promise<Map<string, number>> {
  // nobody waits for those who may change nothing
  const mayChange = ({ path }: Resource) => ctx.can(`${path}:update`) || ctx.can(`${path}:delete`)
  const named = items.filter(
    ({ operation, served }) => typeof operation.id === 'number' && mayChange(served.resource)
  )
  const byResource = Map.groupBy(named, ({ served }) => served.resource)
  const isFirst = (resource: Resource) => (undoingOf(resource).isLockedFirst === true ? 0 : 1)
  const inOrder = allResources().toSorted((a, b) => isFirst(a) - isFirst(b))
  const versions = new Map<string, number>()
  for (const resource of inOrder.filter(resource => byResource.has(resource))) {
    const ids = new Set(byResource.get(resource)!.map(({ operation }) => operation.id as number))
    for (const { id, version } of await repository(resource).hold(ctx, [...ids]))
      versions.set(recordKey(resource, id), version)
  }
  return versions
}

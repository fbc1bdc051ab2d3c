import type { Context } from '../access/context.ts'
import type { ListQuery, Page } from './list.ts'

/** The place of a row in its source. */
export interface Place {
  at: string
  id: number
}

/** At most `limit` rows of a source in a fixed order, newest first, from the place `from` on. */
export type Read<Row extends Place> = (limit: number, from?: Place) => Promise<Row[]>

/**
 * A page of several sources in one, newest first. Each source is read a little further than the
 * page needs, and the cursor says where each goes on: whatever is added meanwhile, nothing is
 * returned twice and nothing is left out. `identity` is what the list is of, beside the
 * organization. Errors: 400 for a cursor of another list; those of the sources.
 */
export async function mergedPage<Row extends Place>(
  ctx: Context,
  identity: readonly unknown[],
  sources: Read<Row>[],
  { limit = 50, cursor }: Pick<ListQuery, 'limit' | 'cursor'>
): Promise<Page<Row>> {
  const { cursors } = ctx.services
  const list = JSON.stringify([ctx.organization_id, ...identity])
  const position = cursor === undefined ? undefined : cursors.open(cursor, list)
  const runs = await Promise.all(
    sources.map(async (read, i) => {
      if (position === undefined) return await read(limit + 1)
      const [at, id] = position.slice(2 * i) as [string | null, number]
      return at === null ? [] : await read(limit + 1, { at, id })
    })
  )
  const { taken, heads } = merge(runs, limit)
  const has_more = heads.some(head => head !== undefined)
  const next = heads.flatMap(head => (head ? [head.at, head.id] : [null, null]))
  return { data: taken, has_more, next_cursor: has_more ? cursors.seal(next, list) : null }
}

/** The newest `limit` rows of all runs, and the row at which each run goes on. */
function merge<Row extends Place>(
  runs: Row[][],
  limit: number
): { taken: Row[]; heads: (Row | undefined)[] } {
  const next = runs.map(() => 0)
  const head = (i: number) => runs[i]![next[i]!]
  const taken: Row[] = []
  while (taken.length < limit) {
    const newest = indexOfNewest(runs.map((_, i) => head(i)))
    if (newest === undefined) break
    taken.push(head(newest)!)
    next[newest]!++
  }
  return { taken, heads: runs.map((_, i) => head(i)) }
}

/** The index of the newest row, the first of several; undefined if there is none. */
function indexOfNewest(rows: (Place | undefined)[]): number | undefined {
  let newest: number | undefined
  for (const [i, row] of rows.entries())
    if (row && (newest === undefined || row.at > rows[newest]!.at)) newest = i
  return newest
}

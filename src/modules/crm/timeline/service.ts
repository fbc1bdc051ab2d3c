import type { Context } from '../../../core/access/context.ts'
import type { ListQuery, Page } from '../../../core/records/list.ts'
import { repository } from '../../../core/records/repository.ts'
import type { Resource } from '../../../core/records/resource.ts'
import { isHidden } from '../../../core/records/visibility.ts'
import { withNames } from './names.ts'
import { kinds, type Entry } from './schema.ts'
import { sourcesOf, type Row } from './sources.ts'

interface TimelineQuery extends Pick<ListQuery, 'limit' | 'cursor'> {
  /** Kinds of entries, separated by commas; all of them if absent. */
  kind?: string
}

export const timelineService = {
  /**
   * A page of what happened to a record, newest first, as far as the caller may see it. Each
   * source is read a little further than the page needs, and the cursor says where each goes on:
   * whatever is added meanwhile, nothing is returned twice and nothing is left out. Errors: 404,
   * 400 for a cursor of another list.
   */
  async timelineOf(
    ctx: Context,
    resource: Resource,
    id: number,
    { limit = 50, cursor, kind }: TimelineQuery
  ): Promise<Page<Entry>> {
    const wanted = kind === undefined ? kinds : kinds.filter(one => kind.split(',').includes(one))
    const sources = sourcesOf(resource).filter(
      ({ kind, permission, reads }) =>
        wanted.includes(kind) && ctx.can(permission) && !reads.some(column => isHidden(ctx, column))
    )
    const { cursors } = ctx.services
    const names = sources.map(({ name }) => name)
    const identity = JSON.stringify([ctx.organization_id, 'timeline', resource.name, id, names])
    const position = cursor === undefined ? undefined : cursors.open(cursor, identity)
    const [, ...runs] = await Promise.all([
      repository(resource).get(ctx, id),
      ...sources.map(async ({ read }, i) => {
        if (position === undefined) return await read(ctx, id, limit + 1)
        const [at, from] = position.slice(2 * i) as [string | null, number]
        return at === null ? [] : await read(ctx, id, limit + 1, { at, id: from })
      })
    ])
    const { taken, heads } = merge(runs, limit)
    const has_more = heads.some(head => head !== undefined)
    const next = heads.flatMap(head => (head ? [head.at, head.id] : [null, null]))
    return {
      data: await withNames(ctx, name => taken.map(({ entry }) => entry(name))),
      has_more,
      next_cursor: has_more ? cursors.seal(next, identity) : null
    }
  }
}

/** The newest `limit` rows of all runs, and the row at which each run goes on. */
function merge(runs: Row[][], limit: number): { taken: Row[]; heads: (Row | undefined)[] } {
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
function indexOfNewest(rows: (Row | undefined)[]): number | undefined {
  let newest: number | undefined
  for (const [i, row] of rows.entries())
    if (row && (newest === undefined || row.at > rows[newest]!.at)) newest = i
  return newest
}

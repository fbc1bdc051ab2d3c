import type { Context } from '../../../core/access/context.ts'
import type { ListQuery, Page } from '../../../core/records/list.ts'
import { mergedPage, type Read } from '../../../core/records/merged-page.ts'
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
   * A page of what happened to a record, newest first, as far as the caller may see it.
   * Errors: 404, 400 for a cursor of another list.
   */
  async timelineOf(
    ctx: Context,
    resource: Resource,
    id: number,
    { kind, ...query }: TimelineQuery
  ): Promise<Page<Entry>> {
    const wanted = kind === undefined ? kinds : kinds.filter(one => kind.split(',').includes(one))
    const sources = sourcesOf(resource).filter(
      ({ kind, permission, reads }) =>
        wanted.includes(kind) && ctx.can(permission) && !reads.some(column => isHidden(ctx, column))
    )
    const identity = ['timeline', resource.name, id, sources.map(({ name }) => name)]
    const reads = sources.map(
      ({ read }): Read<Row> =>
        async (limit, from) =>
          await read(ctx, id, limit, from)
    )
    const [, { data, ...page }] = await Promise.all([
      repository(resource).get(ctx, id),
      mergedPage(ctx, identity, reads, query)
    ])
    return { data: await withNames(ctx, name => data.map(({ entry }) => entry(name))), ...page }
  }
}

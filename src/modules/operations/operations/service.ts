import { Type, type Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { visibleColumns } from '../../../core/db/columns.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { oursWithDeleted } from '../../../core/db/sql.ts'
import { events, withIsoInstants, type EventRow } from '../../../core/records/events.ts'
import { equal } from '../../../core/records/filter.ts'
import { Lists, type ListQuery, type Page } from '../../../core/records/list.ts'
import { namesOf } from '../../../core/records/names.ts'
import { getOperation, listOperations, streamOperations } from '../../../core/records/operations.ts'
import { allResources, resourceNamed } from '../../../core/records/resource.ts'
import { undoOperation } from '../../../core/records/undo.ts'
import { shownEvent } from '../../../core/records/visibility.ts'
import type { OperationChange, UndoneOperation } from './schema.ts'

type Change = Static<typeof OperationChange>

const isReadable = {
  schema: Type.Boolean(),
  condition: () => {
    const ofTypes = allResources().map(
      ({ name, table }) => sql`(${events.subject_type} = ${sql.raw(`'${name}'`)} and exists (
        select from ${oursWithDeleted(table, 'subject')} where subject.id = ${events.subject_id}))`
    )
    return sql`(${sql.join(ofTypes, sql` or `)})`
  }
}
const lists = new Lists<EventRow>({
  name: 'operation_change',
  table: events,
  columns: visibleColumns(events),
  virtualFilters: { isReadable }
})

export const operationService = {
  list: listOperations,
  stream: streamOperations,
  get: getOperation,

  /**
   * What an operation changed, of what the caller may read, in the order of the changes. Errors:
   * 404.
   */
  async changes(ctx: Context, id: number, query: ListQuery): Promise<Page<Change>> {
    await getOperation(ctx, id)
    const readable = allResources().filter(
      ({ path, schema }) => schema !== undefined && ctx.can(`${path}:read`)
    )
    const { data, ...page } = await lists.list(ctx, {
      ...query,
      filters: [
        ...equal({ operation_id: id, isReadable: true }),
        { field: 'details', operator: 'null', value: true },
        { field: 'subject_type', operator: 'in', value: readable.map(({ name }) => name) }
      ],
      sort: [{ field: 'id', descending: false }]
    })
    return { data: await present(ctx, data), ...page }
  },

  /** Undoes an operation, as far as possible. Errors: as `undoOperation`. */
  async undo(ctx: Context, id: number, strict: boolean): Promise<Static<typeof UndoneOperation>> {
    return await ctx.transaction(async ctx => {
      const { operation_id, ...result } = await undoOperation(ctx, id, { strict })
      return { operation: await getOperation(ctx, operation_id), ...result }
    })
  }
}

/** Changes with the names of their records, and without what the caller does not see. */
async function present(ctx: Context, found: EventRow[]): Promise<Change[]> {
  const names = new Map<string, string>()
  for (const [type, ofType] of Map.groupBy(found, ({ subject_type }) => subject_type)) {
    const ids = [...new Set(ofType.map(({ subject_id }) => subject_id))]
    for (const { id, name } of await namesOf(ctx, type, ids)) names.set(`${type}/${id}`, name)
  }
  return found.map(event => {
    const { subject_type: type, subject_id: id } = event
    const { changed, before, after } = withIsoInstants(shownEvent(ctx, resourceNamed(type), event))
    const op = event.type.split('.')[1] as Change['op']
    const name = names.get(`${type}/${id}`) ?? null
    // the records exist: none of the events is that of a purge
    return { event_id: event.id, type, id, name, op, changed, before, after: after! }
  })
}

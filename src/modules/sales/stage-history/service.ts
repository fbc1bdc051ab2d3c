import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { visibleColumns } from '../../../core/db/columns.ts'
import { defined } from '../../../core/defined.ts'
import { hiddenFieldsNeeded } from '../../../core/errors.ts'
import { equal } from '../../../core/records/filter.ts'
import { Lists, type ListQuery, type Page } from '../../../core/records/list.ts'
import { repository } from '../../../core/records/repository.ts'
import type { Resource } from '../../../core/records/resource.ts'
import { Transition } from './schema.ts'
import { transitions } from './table.ts'

const lists = new Lists<Static<typeof Transition>>({
  name: 'transition',
  table: transitions,
  columns: visibleColumns(transitions)
})
const fields = Object.keys(Transition.properties)

export const stageHistoryService = {
  /**
   * The transitions of one record, newest first; the last one is its beginning. Errors: 404, 403
   * for the history of what the caller does not see.
   */
  async historyOf(
    ctx: Context,
    resource: Resource,
    id: number,
    { limit, cursor }: ListQuery
  ): Promise<Page<Static<typeof Transition>>> {
    const hidden = ctx.hiddenFields(resource.path)
    if ([resource.transitions!, ...fields].some(field => hidden.has(field)))
      throw hiddenFieldsNeeded()
    await repository(resource).get(ctx, id)
    const filters = equal({ subject_type: resource.name, subject_id: id })
    return await lists.list(ctx, { filters, fields, ...defined({ limit, cursor }) })
  }
}

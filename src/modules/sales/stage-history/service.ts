import type { Context } from '../../../core/access/context.ts'
import { lists, type ListQuery, type Page } from '../../../core/records/list.ts'
import { moves, type subjects } from './table.ts'

export interface Move {
  id: number
  pipeline_id: number | null
  from_stage: string | null
  to_stage: string
  moved_at: string
  actor_id: number | null
  seconds: number | null
}
const shown = [
  'id',
  'pipeline_id',
  'from_stage',
  'to_stage',
  'moved_at',
  'actor_id',
  'seconds'
] as const
const { list } = lists<Move>('move', moves)

/** The moves of one lead or opportunity, newest first; the last one is where it began. */
export const movesOf = async (
  ctx: Context,
  subject_type: (typeof subjects)[number],
  subject_id: number,
  { limit, cursor }: ListQuery
): Promise<Page<Move>> =>
  await list(ctx, {
    filters: [
      { field: 'subject_type', operator: 'eq', value: subject_type },
      { field: 'subject_id', operator: 'eq', value: subject_id }
    ],
    fields: shown,
    ...(limit !== undefined && { limit }),
    ...(cursor !== undefined && { cursor })
  })

import { sql } from '../../../core/db/drizzle.ts'
import { everyRow, organization, oursWithDeleted } from '../../../core/db/sql.ts'
import { opportunities } from '../opportunities/table.ts'
import { stages } from './table.ts'

/** The opportunities in a stage, or without a key in any stage of the pipeline: to be counted. */
export const opportunitiesIn = (pipeline_id: number, key: string | null) =>
  sql`from ${everyRow(opportunities)}
    where pipeline_id = ${pipeline_id} and stage = coalesce(${key}, stage)`

/** Deleted stages that opportunities are still leaving: of a pipeline, or the one with an ID. */
export const stagesBeingCleared = (of: { pipeline_id?: number; id?: number }) => sql`
  select s.pipeline_id, s.key, s.kind from ${oursWithDeleted(stages, 's')}
  where (s.pipeline_id = ${of.pipeline_id ?? null} or s.id = ${of.id ?? null})
    and s.deleted_at is not null and exists (
      select from ${everyRow(opportunities, 'o')}
      where o.pipeline_id = s.pipeline_id and o.stage = s.key)
  order by s.id`

/** Gives the next opportunities after an ID the positions of their stages; the last ID, if full. */
export const placeNext = (after: number, most: number) =>
  sql`select place_opportunities(${organization}, ${after}, ${most}) as last`

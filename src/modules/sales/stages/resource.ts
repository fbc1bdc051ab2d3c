import { sql } from '../../../core/db/drizzle.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { NewStage, Stage, StageChanges } from './schema.ts'
import { stages } from './table.ts'

export const stageResource = defineResource({
  name: 'stage',
  plural: 'stages',
  description: 'Stages of pipelines. Managed by admins.',
  table: stages,
  schema: Stage,
  create: NewStage,
  update: StageChanges,
  filters: ['id', 'pipeline_id', 'key', 'kind', 'created_at', 'updated_at'],
  sorts: ['id', 'position', 'created_at', 'updated_at'],
  include: { pipeline: 'pipeline_id' },
  title: sql`${stages.name}`,
  access: 'settings'
})

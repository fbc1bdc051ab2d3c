import { sql } from '../../../core/db/drizzle.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { NewPipeline, Pipeline, PipelineChanges } from './schema.ts'
import { pipelines } from './table.ts'

export const pipelineResource = defineResource({
  name: 'pipeline',
  plural: 'pipelines',
  description: 'Sales processes. Managed by admins.',
  table: pipelines,
  schema: Pipeline,
  create: NewPipeline,
  update: PipelineChanges,
  filters: ['id', 'name', 'is_default', 'created_at', 'updated_at'],
  sorts: ['id', 'name', 'created_at', 'updated_at'],
  title: sql`${pipelines.name}`,
  access: 'settings'
})

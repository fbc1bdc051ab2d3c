import { sql } from '../../../core/db/drizzle.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { NewScoringModel, ScoringModel, ScoringModelChanges } from './schema.ts'
import { scoringModels } from './table.ts'

export const scoringModelResource = defineResource({
  name: 'scoring_model',
  plural: 'scoring_models',
  description: 'Models that score leads. Managed by admins.',
  table: scoringModels,
  schema: ScoringModel,
  create: NewScoringModel,
  update: ScoringModelChanges,
  filters: ['id', 'name', 'status', 'created_at', 'updated_at'],
  sorts: ['id', 'name', 'created_at', 'updated_at'],
  title: sql`${scoringModels.name}`,
  access: 'settings'
})

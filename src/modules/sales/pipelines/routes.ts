import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { crud } from '../../../core/http/resource-routes.ts'
import { PipelineStage, StageList } from '../stages/schema.ts'
import { stagesOfEach } from '../stages/service.ts'
import { NewPipeline, Pipeline, PipelineChanges } from './schema.ts'
import * as pipelines from './service.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  app.addSchema(PipelineStage)
  crud(app, pipelines, {
    one: 'pipeline',
    many: 'pipelines',
    record: Pipeline,
    create: NewPipeline,
    update: PipelineChanges,
    filter: ['id', 'name', 'is_default', 'created_at', 'updated_at'],
    sort: ['id', 'name', 'created_at', 'updated_at'],
    include: { stages: { each: stagesOfEach, record: StageList, permission: 'stages:read' } }
  })
}

export default routes

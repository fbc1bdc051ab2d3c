import { causes } from '../../../core/http/operations.ts'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import { PipelineStage, StageList } from '../stages/schema.ts'
import { stageResource } from '../stages/resource.ts'
import { stageService } from '../stages/service.ts'
import { stages } from '../stages/table.ts'
import { pipelineResource } from './resource.ts'
import { pipelineService } from './service.ts'

causes(['createPipeline'], 'stage.created')
causes(['deletePipeline'], 'stage.deleted')

const routes: FastifyPluginAsyncTypebox = async app => {
  app.addSchema(PipelineStage)
  await resourceRoutes(app, pipelineResource, pipelineService, {
    stages: {
      of: stageResource,
      reads: [stages.pipeline_id],
      load: stageService.byPipeline,
      schema: StageList,
      permission: 'stages:read'
    }
  })
}

export default routes

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import { PipelineStage, StageList } from '../stages/schema.ts'
import { stageService } from '../stages/service.ts'
import { pipelineResource } from './resource.ts'
import { pipelineService } from './service.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  app.addSchema(PipelineStage)
  await resourceRoutes(app, pipelineResource, pipelineService, {
    stages: { load: stageService.byPipeline, schema: StageList, permission: 'stages:read' }
  })
}

export default routes

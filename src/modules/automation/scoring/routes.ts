import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { resourceRoutes } from '../../../core/http/resource-routes.ts'
import { idOf, idParameter, response } from '../../../core/http/responses.ts'
import { Id, Ref } from '../../../core/http/schema.ts'
import { scoringModelResource } from './resource.ts'
import { LeadScore, ScoringRule } from './schema.ts'
import { scoringModelService } from './service.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  app.addSchema(ScoringRule)
  await resourceRoutes(app, scoringModelResource, scoringModelService)
}

const ScoreQuery = Type.Object(
  {
    model: Type.Optional(
      Id({
        description: 'Scoring model ID; it may be a draft. Default: the active model.',
        examples: [1]
      })
    )
  },
  { additionalProperties: false }
)

/** The explanation of a lead's score, below `/api/leads`. */
export const leadScoreRoutes: FastifyPluginAsyncTypebox = async app => {
  app.addSchema(LeadScore)
  app.get(
    '/:id/score',
    {
      config: { permission: 'leads:read' },
      schema: {
        operationId: 'getLeadScore',
        summary: "Explain a lead's score",
        description:
          'What each rule of the active scoring model contributes to the current score of the ' +
          'lead. With `model`, what each rule of that model would contribute.',
        tags: ['leads'],
        params: idParameter(),
        querystring: ScoreQuery,
        response: response(200, 'The score, rule by rule.', Ref(LeadScore))
      }
    },
    async request => {
      const { model } = request.query
      if (model !== undefined) request.ctx.require('scoring-models:read')
      return await scoringModelService.explain(request.ctx, idOf(request), model)
    }
  )
}

export default routes

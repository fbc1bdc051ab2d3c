import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { crud } from '../../../core/http/resource-routes.ts'
import { answer, byId, idOf, json } from '../../../core/http/responses.ts'
import { Id, Ref } from '../../../core/http/schema.ts'
import {
  LeadScore,
  NewScoringModel,
  ScoringModel,
  ScoringModelChanges,
  ScoringRule
} from './schema.ts'
import * as models from './service.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  app.addSchema(ScoringRule)
  crud(app, models, {
    one: 'scoring model',
    many: 'scoring models',
    record: ScoringModel,
    create: NewScoringModel,
    update: ScoringModelChanges,
    filter: ['id', 'name', 'status', 'created_at', 'updated_at'],
    sort: ['id', 'name', 'created_at', 'updated_at']
  })
}

/** The score of a lead, explained: below the leads. */
export const leadScores: FastifyPluginAsyncTypebox = async app => {
  app.addSchema(LeadScore)
  app.get(
    '/:id/score',
    {
      config: { permission: 'leads:read' },
      schema: {
        operationId: 'getLeadScore',
        summary: 'Explain the score of a lead',
        tags: ['leads'],
        description:
          'What each rule of the active scoring model makes of the lead as it is now. With `model`, what a draft would make of it.',
        params: byId(),
        querystring: Type.Object(
          {
            model: Type.Optional(
              Id({ description: 'The number of a scoring model; the active one if absent.' })
            )
          },
          { additionalProperties: false }
        ),
        response: answer(200, 'The score, and what it consists of.', Ref(LeadScore))
      }
    },
    async (request, reply) => {
      const { model } = request.query
      if (model !== undefined) request.ctx.require('scoring-models:read')
      return reply
        .type(json)
        .send(JSON.stringify(await models.explain(request.ctx, idOf(request), model)))
    }
  )
}

export default routes

import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Problem as Refusal, vocabulary } from '../core/errors.ts'
import { Text } from '../core/http/schema.ts'

const codes = Object.keys(vocabulary) as (keyof typeof vocabulary)[]
const Meaning = Type.Object(
  {
    code: Text(50, { description: 'The code.', example: 'stale' }),
    description: Text(500, { description: 'What it means.', example: vocabulary.stale })
  },
  { additionalProperties: false }
)
const answer = (schema: object) => ({
  200: { description: 'What it means.', content: { 'application/json': { schema } } }
})

/** The `type` of every problem points here. */
const routes: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '',
    {
      config: { public: true },
      schema: {
        operationId: 'listProblems',
        summary: 'List the codes of errors',
        description: 'Every code an error can carry.',
        tags: ['problems'],
        response: answer(
          Type.Object(
            { data: Type.Array(Meaning, { maxItems: 100 }) },
            { additionalProperties: false }
          )
        )
      }
    },
    async () => ({ data: codes.map(code => ({ code, description: vocabulary[code] })) })
  )

  app.get(
    '/:code',
    {
      config: { public: true },
      schema: {
        operationId: 'getProblem',
        summary: 'What does a code mean?',
        description: 'One code an error can carry.',
        tags: ['problems'],
        params: Type.Object(
          { code: Text(50, { description: 'The code.', example: 'stale' }) },
          { additionalProperties: false }
        ),
        response: answer(Meaning)
      }
    },
    async ({ params: { code } }) => {
      if (!Object.hasOwn(vocabulary, code)) throw new Refusal(404, 'not_found', 'No such code.')
      return { code, description: vocabulary[code as keyof typeof vocabulary] }
    }
  )
}

export default routes

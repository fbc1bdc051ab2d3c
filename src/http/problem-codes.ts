import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { notFound } from '../core/errors.ts'
import { vocabulary } from '../core/vocabulary.ts'
import { defineTag } from '../core/http/operations.ts'
import { response } from '../core/http/responses.ts'
import { Text } from '../core/http/schema.ts'

type Code = keyof typeof vocabulary

const tags = [defineTag('problems', 'Error codes and their meanings.')]
const codes = Object.keys(vocabulary) as Code[]
const code = Text(50, { description: 'Error code.', example: 'stale' })
const Meaning = Type.Object(
  { code, description: Text(500, { description: 'Meaning.', example: vocabulary.stale }) },
  { additionalProperties: false }
)
const Meanings = Type.Object(
  { data: Type.Array(Meaning, { maxItems: 100 }) },
  { additionalProperties: false }
)
const CodeParameter = Type.Object({ code }, { additionalProperties: false })

/** The `type` of every problem points here. */
const routes: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '',
    {
      config: { public: true },
      schema: {
        operationId: 'listProblems',
        summary: 'List error codes',
        description: 'All error codes and their meanings.',
        tags,
        response: response(200, 'The error codes.', Meanings)
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
        summary: 'Get an error code',
        description: 'The meaning of one error code.',
        tags,
        params: CodeParameter,
        response: response(200, 'The error code.', Meaning)
      }
    },
    async ({ params: { code } }) => {
      if (!Object.hasOwn(vocabulary, code)) throw notFound('error code')
      return { code, description: vocabulary[code as Code] }
    }
  )
}

export default routes

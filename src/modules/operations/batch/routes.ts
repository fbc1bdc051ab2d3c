import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import type { Context } from '../../../core/access/context.ts'
import { definePermission } from '../../../core/access/permissions.ts'
import { assertMayChange } from '../../../core/access/risk.ts'
import { causes, defineTag, problems } from '../../../core/http/operations.ts'
import { isLenient, returnsRepresentation } from '../../../core/http/preferences.ts'
import { requestHeaders, response } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { invalidIn, type Failure } from '../../../core/http/validation.ts'
import { planRequired } from '../../../core/writes/errors.ts'
import type { BodyOf } from './errors.ts'
import { itemsOf, type Item, type Validate } from './items.ts'
import { isDestructive } from './kinds.ts'
import { runAtomic, runIndependent } from './modes.ts'
import type { RunOptions } from './run.ts'
import { BatchOperation, BatchResult, BatchResults, NewBatch } from './schema.ts'

causes(['runBatch'], '*.created', '*.updated', '*.deleted', '*.restored')

definePermission('batch:write', 'everyone')

const tags = [defineTag('batch', 'Several operations in one request.')]
const maxBytes = 5 * 1024 * 1024
/** Errors in the data of one operation that are listed. */
const maxErrors = 10

/** Batches, below `/api/batch`. */
const routes: FastifyPluginAsyncTypebox = async app => {
  for (const schema of [BatchOperation, BatchResult, BatchResults, NewBatch]) app.addSchema(schema)
  app.post(
    '',
    {
      bodyLimit: maxBytes,
      config: { permission: 'batch:write' },
      schema: {
        operationId: 'runBatch',
        summary: 'Carry out several operations',
        description:
          'Carries out up to 1,000 operations on records of any type, in their order, as single ' +
          'requests would, each with its own rights and rules; up to 5 MiB. `atomic`: all of ' +
          'them, or none (422, `batch_rejected`, with everything that is wrong). `independent`: ' +
          'each that is possible; 207 if some failed. A batch of several operations can be ' +
          'undone as a whole, by its `operation_id`.',
        tags,
        ...problems(409, 422),
        body: Ref(NewBatch),
        headers: requestHeaders('prefer'),
        response: {
          ...response(200, 'The results: all operations were carried out.', Ref(BatchResults)),
          ...response(207, 'The results: some operations failed.', Ref(BatchResults))
        }
      }
    },
    async (request, reply) => {
      const { mode, operations } = request.body
      const items = itemsOf(operations)
      assertRisk(request.ctx, items)
      const options = optionsOf(request)
      const bodyOf: BodyOf = problem => problem.body(request.url.split('?', 1)[0]!, request.id)
      const { results, problems, operation_id } =
        mode === 'atomic'
          ? await runAtomic(request.ctx, items, options, bodyOf)
          : await runIndependent(request.ctx, items, options)
      const told = results.map(result => {
        const problem = problems.get(result.index)
        return problem ? { ...result, problem: bodyOf(problem) } : result
      })
      return reply.code(problems.size > 0 ? 207 : 200).send({ results: told, operation_id })
    }
  )
}

/** Errors: 403, 428 for a credential that may not risk what a batch does without a plan. */
function assertRisk(ctx: Context, items: Item[]): void {
  const names = items.map(({ operation }) => operation.op)
  assertMayChange(ctx, names.filter(name => name !== 'create').length)
  const needsPlan = ctx.principal.token?.require_plan && !ctx.isPlanned
  if (needsPlan && names.some(isDestructive)) throw planRequired()
}

/** References to schemas, which Fastify compiles once each. */
const references = new Map<string, object>()

type Check = (data: unknown) => { error?: Failure[] }

function optionsOf(request: FastifyRequest): RunOptions {
  const checks = new Map<string, Check>()
  const checkOf = (schemaId: string): Check => {
    const schema = references.get(schemaId) ?? { $ref: `${schemaId}#` }
    references.set(schemaId, schema)
    const check = request.compileValidationSchema(schema, 'body') as unknown as Check
    checks.set(schemaId, check)
    return check
  }
  const validate: Validate = (schemaId, data) => {
    const { error } = (checks.get(schemaId) ?? checkOf(schemaId))(data)
    return error && invalidIn(error.slice(0, maxErrors), 'body')
  }
  return {
    validate,
    lenient: isLenient(request),
    representation: returnsRepresentation(request)
  }
}

export default routes

import type {
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  RouteHandlerMethod,
  RouteOptions
} from 'fastify'
import fp from 'fastify-plugin'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from '../../core/access/context.ts'
import { riskOf } from '../../core/access/permissions.ts'
import { malformed } from '../../core/errors.ts'
import { keyInUse, keyReused, keyUnreadable, planRequired } from '../../core/writes/errors.ts'
import {
  claimKey,
  keepAnswer,
  type Answer,
  type Claim,
  type KeyedRequest
} from '../../core/writes/keys.ts'
import { describeTerms, isWrite, takesDryRuns, takesKeys } from './document.ts'
import { assertPlanned, DryRun, dryRunOf, planIn, plannedText } from './dry-run.ts'
import { answerOf, HeldAnswer } from './held-answer.ts'
import { keyedRequestOf, termsOf, type Terms } from './terms.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The response to a write that is one transaction, until that has ended. */
    held: HeldAnswer | null
    /** A request that failed, whose response is to be kept. */
    failed: KeyedRequest | null
  }
}

/**
 * Carries out a write as one transaction if its headers require that. With `Idempotency-Key`, its
 * response is kept together with what it changed, and is the response to every repetition. With
 * `Prefer: dry-run`, it is undone and its effects are the response; with `If-Plan`, it is only
 * committed with these effects.
 */
export const wholeWrites = fp(async app => {
  app.decorateRequest('held', null)
  app.decorateRequest('failed', null)

  app.addHook('onRoute', route => {
    if (!isWrite(route)) return
    if (takesKeys(route)) describeTerms(route)
    route.handler = onTerms(route)
  })

  app.addHook('onSend', (request, reply, payload, done) => {
    if (request.held) {
      request.held.hold(reply, payload).then(body => {
        done(null, body)
      }, done)
    } else if (request.failed) {
      keepFailure(request, reply, payload).then(() => {
        done()
      }, done)
    } else done()
  })
})

/** The handler of a route, for requests with and without terms. */
function onTerms(route: RouteOptions): RouteHandlerMethod {
  const { handler } = route
  const { permission = '' } = route.config ?? {}
  const isDestructive = riskOf(permission) === 'destructive'
  const [hasKeys, hasDryRuns] = [takesKeys(route), takesDryRuns(route)]
  return function (this: FastifyInstance, request, reply) {
    const terms = termsOf(request)
    const handle = () => handler.call(this, request, reply)
    const isPlanned = terms?.isDryRun || terms?.plan !== undefined
    if (isPlanned && !hasDryRuns) throw malformed('This operation has no dry run.')
    if (isDestructive && !isPlanned && request.principal?.token?.require_plan) throw planRequired()
    if (!terms || !hasKeys) return handle()
    const keyed =
      terms.key === undefined || terms.isDryRun ? undefined : keyedRequestOf(request, terms.key)
    const sent = isPlanned ? plannedText(request) : ''
    return carryOut({ request, reply, terms, keyed, sent, handle })
  }
}

/** A request for a write, and how to handle it. */
interface Write {
  request: FastifyRequest
  reply: FastifyReply
  terms: Terms
  /** What it is known by, if it has a key. */
  keyed: KeyedRequest | undefined
  /** What a plan is for; empty without one. */
  sent: string
  handle: () => unknown
}

/** Milliseconds to wait for another request with the same key, and between looks for its end. */
const patience = 2_000
const pause = 25

/** Errors: those of the write; 409 while another request uses the key, 422 for another request. */
async function carryOut(write: Write): Promise<FastifyReply> {
  const deadline = performance.now() + patience
  while (!(await attempt(write))) {
    if (performance.now() > deadline) throw keyInUse()
    await sleep(pause)
  }
  return write.reply
}

/** Returns whether there is a response: there is none while another request uses the key. */
async function attempt(write: Write): Promise<boolean> {
  const { request, reply, terms, keyed, sent, handle } = write
  const { ctx } = request
  const plan = terms.plan === undefined ? undefined : planIn(ctx, sent, terms.plan)
  const held = new HeldAnswer()
  let hasBegun = false
  const inTransaction = async (tx: Context): Promise<Claim | Answer> => {
    const claim = keyed && (await claimKey(tx, keyed.key))
    if (claim && claim.state !== 'free') return claim
    hasBegun = true
    request.ctx = tx
    request.held = held
    const answer = await held.from(handle, reply)
    if (terms.isDryRun) throw await dryRunOf(tx, sent, reply, answer)
    if (plan) await assertPlanned(tx, plan)
    if (keyed) await keepAnswer(tx, keyed, answer)
    return answer
  }
  try {
    const result = await ctx.transaction(inTransaction)
    if (!('state' in result)) held.release(result.body)
    else if (result.state === 'answered') replay(reply, keyed!, result)
    return !('state' in result && result.state === 'busy')
  } catch (error) {
    if (error instanceof DryRun) return held.release(error.body)
    if (held.isHeld) return held.replace(error, reply)
    if (hasBegun) request.failed = keyed ?? null
    throw error
  } finally {
    request.ctx = ctx
    request.held = null
  }
}

/** Responds as to the first request with the key. Errors: 422 if that was another one. */
function replay(
  reply: FastifyReply,
  { digest }: KeyedRequest,
  { request, answer }: Extract<Claim, { state: 'answered' }>
): void {
  if (!digest.equals(request.digest)) throw keyReused(request.method, request.path)
  if (!answer) throw keyUnreadable()
  const { status, headers, body } = answer
  void reply.code(status).headers(headers).header('idempotency-replayed', 'true').send(body)
}

/** Statuses of failures that a repetition gets as well: those that the state of records caused. */
const keptFailures = new Set([409, 412, 422, 424])

/** Keeps the response to a request that failed, if it is to be kept. It changed nothing. */
async function keepFailure(
  request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown
): Promise<void> {
  const keyed = request.failed!
  request.failed = null
  if (!keptFailures.has(reply.statusCode)) return
  await request.ctx
    .transaction(async ctx => {
      const { state } = await claimKey(ctx, keyed.key)
      if (state === 'free') await keepAnswer(ctx, keyed, answerOf(reply, payload))
    })
    .catch((error: unknown) => {
      request.log.error({ request_id: request.id, err: error }, 'a response was not kept')
    })
}

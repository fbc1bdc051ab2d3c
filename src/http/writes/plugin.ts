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
  findResponse,
  KeyTaken,
  storeResponse,
  type KeyedRequest,
  type StoredResponse
} from '../../core/writes/keys.ts'
import { describeWriteOptions, isWrite, takesWriteOptions } from './document.ts'
import {
  assertHarmless,
  assertPlanned,
  finishDryRun,
  planIn,
  plannedText,
  RolledBack
} from './dry-run.ts'
import { clearHeaders, HeldResponse, responseOf } from './held-response.ts'
import { keyedRequestOf, noOptions, writeOptionsOf, type WriteOptions } from './options.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The response to a write that is one transaction, until that has ended. */
    held: HeldResponse | null
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
export const writeTransactions = fp(async app => {
  app.decorateRequest('held', null)
  app.decorateRequest('failed', null)

  app.addHook('onRoute', route => {
    if (!isWrite(route)) return
    if (takesWriteOptions(route)) describeWriteOptions(route)
    route.handler = withWriteOptions(route)
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

/** The handler of a route, for requests with and without options. */
function withWriteOptions(route: RouteOptions): RouteHandlerMethod {
  const { handler } = route
  const { permission = '' } = route.config ?? {}
  const isDestructive = riskOf(permission) === 'destructive'
  const isPossible = takesWriteOptions(route)
  return function (this: FastifyInstance, request, reply) {
    const options = writeOptionsOf(request)
    const handle = () => handler.call(this, request, reply)
    if (!isPossible) {
      if (options.isPlanned) throw malformed('This operation has no dry run.')
      return handle()
    }
    const needsPlan = !options.isPlanned && request.principal!.token?.require_plan === true
    if (needsPlan && isDestructive) throw planRequired()
    if (options === noOptions && !needsPlan) return handle()
    const keyed =
      options.key === undefined || options.isDryRun
        ? undefined
        : keyedRequestOf(request, options.key)
    const sent = options.isPlanned ? plannedText(request) : ''
    return carryOut({ request, reply, options, needsPlan, keyed, sent, handle })
  }
}

/** A request for a write, and how to handle it. */
interface Write {
  request: FastifyRequest
  reply: FastifyReply
  options: WriteOptions
  /** Whether it has no plan, and its credential requires one for what is destructive. */
  needsPlan: boolean
  /** What it is known by, if it has a key. */
  keyed: KeyedRequest | undefined
  /** What a plan is for; empty without one. */
  sent: string
  handle: () => unknown
}

/** Milliseconds to wait for another request with the same key, and before looks for its end. */
const keyTimeout = 2_000
const firstPause = 25

/** Errors: those of the write; 409 while another request uses the key, 422 for another request. */
async function carryOut(write: Write): Promise<FastifyReply> {
  const deadline = performance.now() + keyTimeout
  let pause = firstPause
  while (!(await attempt(write))) {
    if (performance.now() > deadline) throw keyInUse()
    await sleep(pause)
    pause *= 2
  }
  return write.reply
}

/** Returns whether there is a response: there is none while another request uses the key. */
async function attempt(write: Write): Promise<boolean> {
  const { request, reply, keyed } = write
  const { ctx } = request
  const held = new HeldResponse()
  let hasBegun = false
  try {
    const { body } = await ctx.transaction(async tx => {
      hasBegun = true
      return await handleAlone(tx, write, held)
    })
    return held.release(body, reply)
  } catch (error) {
    if (error instanceof RolledBack) return held.release(error.body, reply)
    if (error instanceof KeyTaken) return await repeat(write, ctx, held)
    if (hasBegun) request.failed = keyed ?? null
    if (held.isHeld) return held.replace(error, reply)
    held.abandon(error)
    throw error
  } finally {
    // a handler that goes on after a timeout must not write outside of its transaction
    if (held.isSettled || !hasBegun) request.ctx = ctx
    request.held = null
  }
}

/**
 * Handles a request in a transaction that has its key to itself. The claim is sent together with
 * the first statement of the handler, which fails if the key is taken, as do all others: whatever
 * the handler makes of that, it is undone. Errors: those of the write; `KeyTaken`.
 */
async function handleAlone(tx: Context, write: Write, held: HeldResponse): Promise<StoredResponse> {
  const { keyed } = write
  const [claim, answer] = await Promise.allSettled([
    keyed && claimKey(tx, keyed.key),
    handleWithin(tx, write, held)
  ])
  if (claim.status === 'rejected') throw claim.reason
  if (answer.status === 'rejected') throw answer.reason
  if (keyed) storeResponse(tx, keyed, answer.value)
  return answer.value
}

/** Handles a request in the transaction of `tx`. Errors: those of the write; 412, 428. */
async function handleWithin(
  tx: Context,
  write: Write,
  held: HeldResponse
): Promise<StoredResponse> {
  const { request, reply, options, needsPlan, sent, handle } = write
  const plan = options.plan === undefined ? undefined : planIn(tx, sent, options.plan)
  request.ctx = options.isPlanned ? tx.planned : tx
  request.held = held
  const answer = await held.from(handle, reply)
  if (answer.status >= 500) throw new RolledBack(answer.body)
  if (options.isDryRun) throw await finishDryRun(tx, sent, reply, answer)
  if (plan) await assertPlanned(tx, plan)
  if (needsPlan) await assertHarmless(tx)
  return answer
}

/**
 * Responds as to the first request with the key; returns whether there is a response to that.
 * Errors: 422 if that was another one, 409.
 */
async function repeat(
  { request, reply, keyed }: Write,
  ctx: Context,
  held: HeldResponse
): Promise<boolean> {
  const { digest } = keyed!
  // nothing of what the handler made of a key that was taken may be left
  request.held = null
  clearHeaders(reply)
  try {
    const kept = await findResponse(ctx, keyed!.key)
    if (kept) {
      const { answer, request: first } = kept
      if (!digest.equals(first.digest)) throw keyReused(first.method, first.path)
      if (!answer) throw keyUnreadable()
      reply.code(answer.status).headers(answer.headers).header('idempotency-replayed', 'true')
      return held.release(answer.body, reply)
    }
    // a handler that needed no database has responded, and cannot once more
    if (held.isHeld) throw keyInUse()
  } catch (error) {
    if (held.isHeld) return held.replace(error, reply)
    throw error
  }
  return false
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
      await claimKey(ctx, keyed.key)
      storeResponse(ctx, keyed, responseOf(reply, payload))
    })
    .catch((error: unknown) => {
      if (error instanceof KeyTaken) return
      request.log.error({ request_id: request.id, err: error }, 'a response was not kept')
    })
}

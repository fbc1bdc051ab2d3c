import type { FastifyReply } from 'fastify'
import { headerNames } from '../../core/http/responses.ts'
import type { StoredResponse } from '../../core/writes/keys.ts'

/** The headers of a response that say something about what was done. */
const ownHeaders = ['content-type', ...headerNames.map(name => name.toLowerCase())]

/** Removes what a handler has said of its response. */
export function clearHeaders(reply: FastifyReply): void {
  for (const name of ownHeaders) reply.removeHeader(name)
}

/** A response as it is when it is about to be sent. */
export function responseOf(reply: FastifyReply, payload: unknown): StoredResponse {
  const headers = ownHeaders.flatMap(name => {
    const value = reply.getHeader(name)
    return value === undefined ? [] : [[name, String(value)] as const]
  })
  return {
    status: reply.statusCode,
    headers: Object.fromEntries(headers),
    body: typeof payload === 'string' ? payload : ''
  }
}

/**
 * The response to a write, which is held back until the transaction of the write has ended: what
 * was not committed is not reported.
 */
export class HeldResponse {
  readonly #answer = Promise.withResolvers<StoredResponse>()
  readonly #body = Promise.withResolvers<string>()
  #isHeld = false
  #isSettled = false

  constructor() {
    this.#answer.promise.catch(() => {}) // nobody waits for it any more when it is abandoned
  }

  /** Holds a response that is about to be sent, and returns the body to send in the end. */
  async hold(reply: FastifyReply, payload: unknown): Promise<string> {
    this.#isHeld = true
    this.#answer.resolve(responseOf(reply, payload))
    return await this.#body.promise
  }

  /** Whether a response waits to be sent. */
  get isHeld(): boolean {
    return this.#isHeld
  }

  /** Whether the handler has done what it does. */
  get isSettled(): boolean {
    return this.#isHeld || this.#isSettled
  }

  /**
   * The response that `handler` sends, or returns the body of. Errors: those of the handler, and
   * that for which it was abandoned.
   */
  async from(handler: () => unknown, reply: FastifyReply): Promise<StoredResponse> {
    try {
      // a reply that was sent, and held, is itself a promise: that it has been received
      const returned = Promise.resolve(handler()).then(body => {
        if (!this.#isHeld) void reply.send(body)
      })
      await Promise.race([returned, this.#answer.promise])
    } catch (error) {
      this.#isSettled = true
      throw error
    }
    return await this.#answer.promise
  }

  /** Has the response, or one if none is held, sent with this body. Returns true: there is one. */
  release(body: string, reply: FastifyReply): true {
    if (this.#isHeld) this.#body.resolve(body)
    else void reply.send(body)
    return true
  }

  /** Has an error sent in place of the response. Returns true: there is one. */
  replace(error: unknown, reply: FastifyReply): true {
    clearHeaders(reply)
    this.#body.reject(error)
    return true
  }

  /** Ends the wait for a handler that has not responded in time. */
  abandon(error: unknown): void {
    this.#answer.reject(error)
  }
}

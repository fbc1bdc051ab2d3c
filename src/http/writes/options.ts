import type { FastifyRequest } from 'fastify'
import { hash } from 'node:crypto'
import { malformed } from '../../core/errors.ts'
import { isDryRun } from '../../core/http/preferences.ts'
import type { KeyedRequest } from '../../core/writes/keys.ts'

/** What a request says about how it is to be carried out. */
export interface WriteOptions {
  /** Its `Idempotency-Key`. */
  key: string | undefined
  /** Whether only the effects are wanted. */
  isDryRun: boolean
  /** The `If-Plan`, as it was sent. */
  plan: string | undefined
  /** Whether it makes a plan, or has one. */
  isPlanned: boolean
}

/** The options of nearly all requests. */
export const noOptions: WriteOptions = {
  key: undefined,
  isDryRun: false,
  plan: undefined,
  isPlanned: false
}

/** The options of a request. Errors: 400. */
export function writeOptionsOf(request: FastifyRequest): WriteOptions {
  const { 'idempotency-key': key, 'if-plan': plan, prefer } = request.headers
  if (key === undefined && plan === undefined && prefer === undefined) return noOptions
  const isTried = isDryRun(request)
  if (isTried && plan !== undefined)
    throw malformed('A dry run makes a plan: send either `Prefer: dry-run` or `If-Plan`.')
  if (key === undefined && plan === undefined && !isTried) return noOptions
  return {
    key: key === undefined ? undefined : keyIn(String(key)),
    isDryRun: isTried,
    plan: plan === undefined ? undefined : String(plan),
    isPlanned: isTried || plan !== undefined
  }
}

/** A key is the same with quotes, as a string of RFC 9651, and without. */
function keyIn(header: string): string {
  const key = /^"(.*)"$/.exec(header)?.[1] ?? header
  if (!/^[\x21-\x7e]{1,255}$/.test(key))
    throw malformed('Idempotency-Key must be 1 to 255 visible ASCII characters.')
  return key
}

/** What was sent, as text: the method, the URL, the body, and those headers that matter. */
export const canonicalRequest = (
  { method, url, headers, body }: FastifyRequest,
  ...names: string[]
) => JSON.stringify([method, url, names.map(name => headers[name] ?? null), body ?? null])

/** A request as its key stands for it. */
export function keyedRequestOf(request: FastifyRequest, key: string): KeyedRequest {
  const [path = ''] = request.url.split('?', 1)
  const sent = canonicalRequest(request, 'if-match', 'prefer', 'if-plan')
  return { key, method: request.method, path, digest: hash('sha256', sent, 'buffer') }
}

import { parse } from 'fast-querystring'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import Router from 'find-my-way'
import { STATUS_CODES } from 'node:http'
import { malformed, Problem, problemOfDatabase } from '../core/errors.ts'
import type { vocabulary } from '../core/vocabulary.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Why the request failed with a status of the class 5xx. */
    failure: string | undefined
  }
}

type Code = keyof typeof vocabulary

/** Errors that Fastify finds before a handler runs, by status. */
const framework: Record<number, [Code, string?]> = {
  400: ['malformed'],
  404: ['not_found'],
  408: ['timeout'],
  413: ['too_large', 'The body is larger than 256 KiB, or 5 MiB for a batch.'],
  414: ['uri_too_long', 'A segment of the path is too long.'],
  415: ['unsupported_media_type', 'Send the body as application/json.'],
  431: ['headers_too_large'],
  503: ['unavailable']
}

/** Anything thrown, as a problem; internal errors reveal nothing. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  const known = problemOfDatabase(error)
  if (known) return known
  const { statusCode = 500, message } = error as Partial<FastifyError>
  // a malformed path is repeated in its message
  const [code, detail = message?.slice(0, 500) ?? ''] = framework[statusCode] ?? []
  if (code) return new Problem(statusCode, code, detail)
  if (statusCode >= 400 && statusCode < 500)
    return new Problem(
      statusCode,
      'malformed',
      STATUS_CODES[statusCode] ?? 'The request is invalid.'
    )
  return new Problem(500, 'internal', 'An internal error occurred. It has been logged.')
}

/**
 * Sends anything thrown as application/problem+json. `instance` is the path without its query,
 * which may contain anything. What was not thrown as a problem is logged as an error; a problem,
 * such as a stop that was requested, is not.
 */
export function sendProblem(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply
): FastifyReply {
  const problem = explainWeakTag(problemOf(error), request)
  if (problem.status >= 500) {
    request.failure = problem.detail
    if (error !== problem) request.log.error({ request_id: request.id, err: error }, 'failed')
  }
  return reply
    .code(problem.status)
    .headers(problem.extra.headers ?? {})
    .header('cache-control', 'no-store')
    .type('application/problem+json; charset=utf-8')
    .send(JSON.stringify(problem.body(shownPathOf(request), request.id)))
}

/** What is wrong with JSON, and where; Fastify's own parser only says so of forbidden keys. */
function whyInvalid(body: string, { message }: Error): string {
  try {
    JSON.parse(body)
    return message
  } catch (error) {
    return (error as Error).message
  }
}

/** A weak tag never matches, which is not a stale version (RFC 9110 §13.1.1). */
function explainWeakTag(problem: Problem, { headers }: FastifyRequest): Problem {
  if (problem.code !== 'stale' || !headers['if-match']?.includes('W/')) return problem
  const detail =
    'If-Match uses strong comparison, so a weak tag never matches: send the ETag without W/, ' +
    `${problem.extra.headers!.etag} for the current version.`
  return new Problem(problem.status, problem.code, detail, problem.extra)
}

const pathOf = ({ url }: FastifyRequest) => url.split('?', 1)[0]!.slice(0, 2000)

/** Segments of paths as ours are: words, IDs and names of files. */
const harmless = /^[a-z0-9._-]{0,40}$/

/** The path of a request, without what may be a token or a password in it. */
export const shownPathOf = (request: FastifyRequest): string =>
  pathOf(request)
    .split('/')
    .map(segment => (harmless.test(segment) ? segment : '…'))
    .join('/')

/** Refuses invalid UTF-8, which would otherwise be stored as question marks. */
const utf8 = new TextDecoder('utf-8', { fatal: true })

const brokenQuery = Object.freeze({})

/**
 * `fast-querystring` accepts invalid percent-encoding; this marks it, to be refused once there is a
 * reply.
 */
export function querystringParser(text: string): Record<string, unknown> {
  if (text.includes('%')) {
    try {
      decodeURIComponent(text)
    } catch {
      return brokenQuery
    }
  }
  return parse(text) as Record<string, unknown>
}

/** One handler for everything thrown, and 405 with `Allow` for a path that exists. */
export const problems = fp(async app => {
  app.decorateRequest('failure', undefined)
  app.addHook('preValidation', (request, _reply, done) => {
    const isBroken = request.query === brokenQuery
    done(isBroken ? malformed('The percent-encoding of the query string is invalid.') : undefined)
  })
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply))
  answerUnknownRoutes(app)
  parseJson(app)
})

function answerUnknownRoutes(app: FastifyInstance): void {
  const known = Router({ maxParamLength: 1000 })
  const methods = new Map<string, Set<string>>()

  app.addHook('onRoute', ({ url, method, schema }) => {
    if (schema?.hide) return
    let allowed = methods.get(url)
    if (!allowed) {
      allowed = new Set()
      methods.set(url, allowed)
      known.on('GET', url, () => {}, allowed)
    }
    for (const one of [method].flat()) allowed.add(one)
  })

  app.setNotFoundHandler((request, reply) => {
    const allowed = known.find('GET', pathOf(request))?.store as Set<string> | null | undefined
    if (!allowed) {
      const missing = new Problem(404, 'not_found', 'There is no resource at this path.')
      return sendProblem(missing, request, reply)
    }
    const allow = [...allowed].toSorted().join(', ')
    const detail = `This path supports ${allow}.`
    const refused = new Problem(405, 'method_not_allowed', detail, { headers: { allow } })
    return sendProblem(refused, request, reply)
  })
}

type Done = (error: Error | null, value?: unknown) => void

function parseJson(app: FastifyInstance): void {
  app.removeContentTypeParser('text/plain')
  app.removeContentTypeParser('application/json')
  const parse = app.getDefaultJsonParser('error', 'error')
  const parseBytes = (request: FastifyRequest, bytes: Buffer, done: Done) => {
    let body: string
    try {
      body = utf8.decode(bytes)
    } catch {
      return done(malformed('The body is not valid UTF-8.'))
    }
    // some clients always send the header: whether a body is required is up to the schema
    if (body === '') return done(null)
    void parse(request, body, (error: Error | null, value?: unknown) => {
      done(error && malformed(`The body is not valid JSON: ${whyInvalid(body, error)}`), value)
    })
  }
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, parseBytes)
  app.addContentTypeParser(
    'application/merge-patch+json',
    { parseAs: 'buffer' },
    (request, body, done) => {
      if (request.method === 'PATCH') return parseBytes(request, body as Buffer, done)
      const detail = 'application/merge-patch+json is only supported with PATCH.'
      return done(new Problem(415, 'unsupported_media_type', detail))
    }
  )
}

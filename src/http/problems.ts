import { parse } from 'fast-querystring'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import Router from 'find-my-way'
import { STATUS_CODES } from 'node:http'
import { malformed, Problem, problemOfDatabase, type vocabulary } from '../core/errors.ts'

type Code = keyof typeof vocabulary

/** Faults that Fastify finds before a handler runs, by status. */
const framework: Record<number, [Code, string?]> = {
  400: ['malformed'],
  404: ['not_found'],
  408: ['timeout'],
  413: ['too_large', 'The body is larger than 256 KiB.'],
  414: ['uri_too_long', 'A part of the path is too long.'],
  415: ['unsupported_media_type', 'Send the body as application/json.'],
  431: ['headers_too_large'],
  503: ['unavailable']
}

/** Whatever was thrown, as a problem; a fault of ours tells nothing of itself. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  const known = problemOfDatabase(error)
  if (known) return known
  const { statusCode = 500, message } = error as Partial<FastifyError>
  const [code, detail = message ?? ''] = framework[statusCode] ?? []
  if (code) return new Problem(statusCode, code, detail)
  if (statusCode >= 400 && statusCode < 500)
    return new Problem(
      statusCode,
      'malformed',
      STATUS_CODES[statusCode] ?? 'The request makes no sense.'
    )
  return new Problem(500, 'internal', 'Something went wrong here. It has been logged.')
}

/** Sends what was thrown as application/problem+json. `instance` is the path without its query, which may hold anything. */
export function sendProblem(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply
): FastifyReply {
  const problem = problemOf(error)
  if (problem.status >= 500) request.log.error({ request_id: request.id, err: error }, 'failed')
  return reply
    .code(problem.status)
    .headers(problem.extra.headers ?? {})
    .header('cache-control', 'no-store')
    .type('application/problem+json; charset=utf-8')
    .send(JSON.stringify(problem.body(pathOf(request), request.id)))
}

export const pathOf = ({ url }: FastifyRequest) => url.split('?', 1)[0]!.slice(0, 2000)

/** What is no UTF-8 would otherwise be stored as question marks. */
const utf8 = new TextDecoder('utf-8', { fatal: true })

const brokenQuery = Object.freeze({})

/** `fast-querystring` leaves broken percent-encoding as it is; here it is marked, and refused once there is a reply to refuse with. */
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

/** One handler for all that is thrown, and 405 with `Allow` for a path that exists. */
export const problems = fp(async app => {
  const known = Router({ maxParamLength: 1000 })
  const methods = new Map<string, Set<string>>()

  app.addHook('onRoute', ({ url, method, schema }) => {
    if (schema?.hide) return
    const allowed = methods.get(url) ?? new Set<string>()
    if (!methods.has(url)) known.on('GET', url, () => {}, methods.set(url, allowed).get(url))
    for (const one of [method].flat()) allowed.add(one)
  })

  app.addHook('preValidation', (request, _reply, done) => {
    done(
      request.query === brokenQuery
        ? malformed('The percent-encoding of the query is broken.')
        : undefined
    )
  })

  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply))
  app.setNotFoundHandler((request, reply) => {
    const allowed = known.find('GET', pathOf(request))?.store as Set<string> | null | undefined
    if (!allowed)
      return sendProblem(
        new Problem(404, 'not_found', 'There is nothing at this path.'),
        request,
        reply
      )
    const allow = [...allowed].toSorted().join(', ')
    return sendProblem(
      new Problem(405, 'method_not_allowed', `This path answers to ${allow}.`, {
        headers: { allow }
      }),
      request,
      reply
    )
  })

  app.removeContentTypeParser('text/plain')
  const parse = app.getDefaultJsonParser('error', 'error')
  const parser = (
    request: FastifyRequest,
    bytes: Buffer,
    done: (error: Error | null, value?: unknown) => void
  ) => {
    let body: string
    try {
      body = utf8.decode(bytes)
    } catch {
      return done(malformed('The body is not UTF-8.'))
    }
    // clients that always send the header send it without a body as well: whether one is needed is for the schema to say
    if (body === '') done(null)
    else
      void parse(request, body, (error: Error | null, value?: unknown) => {
        done(error && malformed(`The body is not JSON: ${error.message}`), value)
      })
  }
  app.removeContentTypeParser('application/json')
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, parser)
  app.addContentTypeParser(
    'application/merge-patch+json',
    { parseAs: 'buffer' },
    (request, body, done) => {
      if (request.method === 'PATCH') parser(request, body as Buffer, done)
      else
        done(
          new Problem(
            415,
            'unsupported_media_type',
            'application/merge-patch+json goes with PATCH.'
          )
        )
    }
  )
})

import * as errors from '../../core/errors.ts'
import { rangeNotSatisfiable } from '../../core/http/file-responses.ts'
import { planRequired } from '../../core/writes/errors.ts'
import { problemOf } from '../problems.ts'
import { commonHeaders, headerReferences, shortNames } from './complete.ts'
import { reference } from './document.ts'

const header = (description: string, schema: object) => ({ description, schema })
const text = (example: string, maxLength = 2000) => ({ type: 'string', maxLength, example })
const positive = { type: 'integer', format: 'int32', minimum: 1, maximum: 86400, example: 1 }

const byName: Record<string, object> = {
  'X-Request-Id': header(
    'ID of the request: yours if you sent one with 8 to 64 letters, digits, _ or -.',
    text('k3v9x2a1-1f')
  ),
  RateLimit: header(
    'Remaining requests (`r`) and seconds until the limit resets (`t`): of "client", the user or ' +
      'the address without a login, or of "organization", if fewer remain to it.',
    text('"client";r=9999;t=60')
  ),
  'RateLimit-Policy': header(
    'The limit that `RateLimit` is about: `q` requests per `w` seconds.',
    text('"client";q=10000;w=60')
  ),
  'Server-Timing': header('Processing time on the server, in milliseconds.', text('total;dur=1.2')),
  'Access-Control-Allow-Origin': header(
    'Your origin, if it is one of CORS_ORIGINS.',
    text('https://app.example.com')
  ),
  'Retry-After': header('Seconds to wait before retrying.', positive),
  'WWW-Authenticate': header('How to authenticate.', text('Bearer realm="smartx"')),
  ETag: header('Version of the record, for If-Match and If-None-Match.', text('"1"')),
  Location: header('URL of the new record.', text('/api/contacts/1')),
  Link: header(
    'Link to the next page, if there is one.',
    // of the URL's 16 KiB, percent-encoding triples some
    text('</api/contacts?cursor=x>; rel="next"', 50_000)
  ),
  'Content-Disposition': header(
    'File name; of a list, only for CSV.',
    text('attachment; filename="contacts.csv"')
  ),
  'Accept-Ranges': header('Unit of the parts that `Range` can request.', text('bytes')),
  'Content-Range': header(
    'Position of these bytes and size of the file; of a 416, only the size.',
    text('bytes 0-1048575/2097152')
  ),
  'Idempotency-Replayed': header(
    'Whether this is the response to an earlier request with the same `Idempotency-Key`.',
    text('true')
  ),
  Plan: header(
    'After a dry run: to be sent as `If-Plan` with the same request. Valid for 15 minutes.',
    text('sha256:…', 8000)
  ),
  'Preference-Applied': header(
    'The preference that was applied (RFC 7240).',
    text('handling=lenient')
  )
}

/** The headers of responses, by the names that references use. */
export const headers = Object.fromEntries(
  Object.entries(byName).map(([name, header]) => [shortNames[name] ?? name, header])
)

/** A problem of each status, as the API sends it, by a path that it could be a response to. */
const samples: Record<string, errors.Problem[]> = {
  '/api/contacts': [
    errors.invalid([
      {
        pointer: '/email',
        code: 'format',
        detail: 'email must be an email address',
        params: { format: 'idn-email' }
      }
    ]),
    new errors.Problem(406, 'not_acceptable', 'Supported formats: application/json, text/csv.'),
    problemOf({ statusCode: 413 }),
    problemOf({ statusCode: 415 }),
    errors.unknownReference(['account_id'])
  ],
  '/api/contacts/1': [
    errors.unauthenticated('The token has expired. Refresh the session.', 'token_expired'),
    errors.forbidden('contacts:update'),
    errors.notFound('contact'),
    new errors.Problem(408, 'timeout', 'The request was not received in time.'),
    errors.stale(2),
    planRequired(),
    problemOf({ statusCode: 414 }),
    errors.tooManyRequests(1),
    new errors.Problem(431, 'headers_too_large', 'The header fields are larger than 16 KiB.'),
    problemOf({ statusCode: 500 }),
    errors.unavailable('The database is unreachable.')
  ],
  '/api/events': [errors.cursorExpired()],
  '/api/users': [errors.duplicate('email')],
  '/api/exports/1/content': [rangeNotSatisfiable(2_097_152)]
}

/** Headers of responses that the samples do not have. */
const further: Record<number, string[]> = {
  409: ['retry-after', 'idempotency-replayed'],
  412: ['idempotency-replayed'],
  422: ['idempotency-replayed']
}

function responseOf(problem: errors.Problem, path: string) {
  const { status, extra } = problem
  const own = new Set([...Object.keys(extra.headers ?? {}), ...(further[status] ?? [])])
  const names = Object.keys(byName).filter(name => own.has(name.toLowerCase()))
  const body = problem.body(path, 'k3v9x2a1-1f')
  return {
    description: body.title,
    headers: headerReferences([...commonHeaders, ...names]),
    content: {
      'application/problem+json': { schema: reference('schemas', 'Problem'), example: body }
    }
  }
}

/** The responses with problems, by status. */
export const responses: Record<string, object> = Object.fromEntries(
  Object.entries(samples).flatMap(([path, problems]) =>
    problems.map(problem => [problem.status, responseOf(problem, path)])
  )
)

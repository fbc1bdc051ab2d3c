import { STATUS_CODES } from 'node:http'

/** One thing wrong with a request: `pointer` (RFC 6901) into the body, or the `parameter` of path, query or header. */
export interface Fault {
  pointer?: string
  parameter?: string
  code: string
  detail: string
}

interface Extra {
  errors?: Fault[]
  headers?: Record<string, string>
  members?: Record<string, unknown>
}

/** An answer that is not the one asked for. Thrown anywhere, turned into `application/problem+json` (RFC 9457) in one place. */
export class Problem extends Error {
  readonly status: number
  readonly code: keyof typeof vocabulary
  readonly detail: string
  readonly extra: Extra

  constructor(status: number, code: keyof typeof vocabulary, detail: string, extra: Extra = {}) {
    super(detail)
    this.name = 'Problem'
    this.status = status
    this.code = code
    this.detail = detail
    this.extra = extra
  }

  /** The body on the wire; `instance` is the path asked for. */
  body(instance: string, request_id: string) {
    return {
      type: `/api/problems/${this.code}`,
      title: STATUS_CODES[this.status] ?? 'Error',
      status: this.status,
      detail: this.detail,
      instance,
      code: this.code,
      request_id,
      ...(this.extra.errors && { errors: this.extra.errors }),
      ...this.extra.members
    }
  }
}

/** Every `code` a problem can carry, and what it means to whoever meets it. Served at `/api/problems`. */
export const vocabulary = {
  malformed:
    'The request could not be read: broken JSON, a broken URL or a header that makes no sense.',
  invalid:
    'The request was read, and parts of it are not what the contract says; `errors` names each of them.',
  unauthenticated: 'No token, or a wrong user name or password. Log in.',
  token_expired:
    'The access token has served its time. Refresh the session (`POST /api/auth/refresh`) and send the request again.',
  token_invalid: 'The token is not one of ours, or not as we gave it. Log in again.',
  session_ended:
    'The session is over: by a logout, a new password, a disabled or deleted user, a refresh token that was used again, or 30 days without a refresh. Log in again.',
  forbidden: 'The credential is good, and its role does not allow this.',
  not_found: 'There is no such thing here, or it belongs to another organisation.',
  method_not_allowed:
    'The path exists and does not answer to this method; `Allow` lists those it answers to.',
  not_acceptable: 'None of the formats in `Accept` is spoken here.',
  timeout: 'The request arrived too slowly.',
  conflict: 'The state of the record does not allow this.',
  duplicate: 'Another record already has this value, and it must be unique.',
  impossible_move:
    'The record cannot come to this stage or status from where it is; `allowed` lists where it can go.',
  likely_duplicate:
    'There are records that are probably the same; `matches` lists them. Name one of them, or send `Prefer: handling=lenient` to go on.',
  stale: 'The record has changed since it was read; `ETag` carries its present version.',
  too_large: 'The body is larger than the limit.',
  uri_too_long: 'The path or one of its segments is longer than the limit.',
  unsupported_media_type: 'The body is in a format that is not read here; send application/json.',
  unknown_reference: 'The request points at a record that does not exist in this organisation.',
  rule_broken: 'The request is well formed and breaks a rule of the CRM.',
  too_many_requests: 'Too many requests; `Retry-After` says when to come back, in seconds.',
  headers_too_large: 'The header fields are larger than the limit.',
  internal: 'A fault of ours. It has been logged under the request id.',
  unavailable:
    'The service or its database cannot answer right now; `Retry-After` says when to try again.'
} as const

export const invalid = (errors: Fault[]) =>
  new Problem(400, 'invalid', errors[0]?.detail ?? 'The request is not valid.', { errors })
export const invalidParameter = (parameter: string, detail: string) =>
  invalid([{ parameter, code: 'invalid', detail }])
export const malformed = (detail: string) => new Problem(400, 'malformed', detail)
/** RFC 6750 §3: who sent a token is told that it is no good; who sent none is only told to. */
export const unauthenticated = (
  detail: string,
  code: 'unauthenticated' | 'token_expired' | 'token_invalid' | 'session_ended' = 'unauthenticated'
) =>
  new Problem(401, code, detail, {
    headers: {
      'www-authenticate': `Bearer realm="smartx"${code === 'unauthenticated' ? '' : ', error="invalid_token"'}`
    }
  })
export const forbidden = (permission: string) =>
  new Problem(403, 'forbidden', `This needs the permission ${permission}.`)
export const notFound = (what: string) => new Problem(404, 'not_found', `No such ${what}.`)
export const conflict = (detail: string) => new Problem(409, 'conflict', detail)
export const duplicate = (field: string) =>
  new Problem(409, 'duplicate', `Another record already has this ${field}.`, {
    errors: [{ pointer: `/${field}`, code: 'duplicate', detail: 'is already taken' }]
  })
/** A record that is probably the one that would be made, and the fields that say so. */
export interface Match {
  type: string
  id: number
  name: string
  by: string[]
}
/** A move that the state of a record does not allow; `allowed` are the values that `field` could be given instead. */
export const impossibleMove = (field: string, detail: string, allowed: readonly string[]) =>
  new Problem(409, 'impossible_move', detail, {
    errors: [{ pointer: `/${field}`, code: 'impossible_move', detail }],
    members: { allowed }
  })
export const likelyDuplicates = (matches: Match[]) =>
  new Problem(
    409,
    'likely_duplicate',
    `There may be such records already: ${matches.map(({ type, id, name }) => `${type} ${id} (${name})`).join(', ')}.`,
    { members: { matches } }
  )
export const stale = (version: number) =>
  new Problem(412, 'stale', `The record is at version ${version} by now.`, {
    headers: { etag: `"${version}"` }
  })
export const unknownReference = (fields: string[]) =>
  new Problem(422, 'unknown_reference', `There is no such record: ${fields.join(', ')}.`, {
    errors: fields.map(field => ({
      pointer: `/${field}`,
      code: 'unknown_reference',
      detail: 'points at no record of this organisation'
    }))
  })
export const ruleBroken = (fields: string | string[], detail: string) =>
  new Problem(422, 'rule_broken', detail, {
    errors: [fields].flat().map(field => ({ pointer: `/${field}`, code: 'rule_broken', detail }))
  })
export const tooManyRequests = (seconds: number, detail = 'Too many requests.') =>
  new Problem(429, 'too_many_requests', detail, {
    headers: { 'retry-after': String(Math.max(1, Math.ceil(seconds))) }
  })
export const unavailable = (detail: string, seconds = 1) =>
  new Problem(503, 'unavailable', detail, { headers: { 'retry-after': String(seconds) } })

/** Waits for work on a part of a request: what is wrong with it has its place in the whole, `/contact/email` instead of `/email`. */
export async function inPart<T>(part: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const problem = error instanceof Problem ? error : problemOfDatabase(error)
    if (!problem?.extra.errors) throw error
    const errors = problem.extra.errors.map(fault =>
      fault.pointer === undefined ? fault : { ...fault, pointer: `/${part}${fault.pointer}` }
    )
    throw new Problem(problem.status, problem.code, problem.detail, { ...problem.extra, errors })
  }
}

/** `/email` from a constraint called `users_email_unique`: constraints are named `<table>_<column>_<kind>`. */
function constrainedField(error: PostgresError): string {
  return (error.constraint_name ?? '')
    .replace(`${error.table_name}_`, '')
    .replace(/_(unique|reference|check)$/, '')
}

interface PostgresError {
  code?: string
  constraint_name?: string
  table_name?: string
  message: string
}

/**
 * What Postgres or the connection to it said, in our vocabulary; undefined when it is a fault of ours.
 * SQLSTATE codes: https://www.postgresql.org/docs/18/errcodes-appendix.html
 */
export function problemOfDatabase(error: unknown): Problem | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  const postgres = error as unknown as PostgresError
  switch (postgres.code) {
    case '23505':
      return duplicate(constrainedField(postgres))
    case '23503':
      return unknownReference([constrainedField(postgres)])
    case '23514':
      return ruleBroken(
        constrainedField(postgres),
        `${constrainedField(postgres)} breaks a rule of its table.`
      )
    case '40001':
    case '40P01':
      return unavailable("Two writers were in each other's way; nothing was changed. Try again.")
    case '55P03':
      return unavailable('Another writer holds this record; nothing was changed. Try again.')
    case '57014':
      return unavailable('The database took too long to answer.')
    case '53300':
    case '57P01':
    case '57P02':
    case '57P03':
    case '25P03':
    case '25006':
    case 'CONNECTION_CLOSED':
    case 'CONNECTION_ENDED':
    case 'CONNECTION_DESTROYED':
    case 'CONNECT_TIMEOUT':
    case 'ECONNREFUSED':
    case 'ECONNRESET':
    case 'ENOENT':
    case 'EPIPE':
    case 'ETIMEDOUT':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return unavailable('The database cannot be reached right now.')
  }
  // class 22: data that Postgres cannot read as what it should be
  return postgres.code?.startsWith('22')
    ? new Problem(400, 'invalid', 'A value is outside of what can be stored or compared.')
    : undefined
}

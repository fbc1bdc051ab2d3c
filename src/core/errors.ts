import { STATUS_CODES } from 'node:http'
import { defined } from './defined.ts'
import type { vocabulary } from './vocabulary.ts'

/** One fault of a request: a `pointer` (RFC 6901) into the body, or a `parameter` of the URL. */
export interface Fault {
  pointer?: string
  parameter?: string
  code: string
  detail: string
  /** The values in `detail`: with `code`, enough to write it in another language. */
  params?: Params
}

type Params = Record<string, unknown>

interface Extra {
  errors?: Fault[]
  headers?: Record<string, string>
  members?: Record<string, unknown>
}

/**
 * An error response. Thrown anywhere, sent as `application/problem+json` (RFC 9457) in one place.
 */
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

  /** The body of the response; `instance` is the path of the request. */
  body(instance: string, request_id: string) {
    return {
      type: `/api/problems/${this.code}`,
      title: STATUS_CODES[this.status] ?? 'Error',
      status: this.status,
      detail: shortened(this.detail, 2000),
      instance,
      code: this.code,
      request_id,
      ...(this.extra.errors && { errors: this.extra.errors.map(sendable) }),
      ...this.extra.members
    }
  }
}

/** What callers sent is in pointers and details: here with the length that the document allows. */
const shortened = (text: string, length: number) =>
  text.length > length ? `${text.slice(0, length - 1)}…` : text

const sendable = ({ pointer, parameter, code, detail, params = {} }: Fault) => ({
  ...defined({
    pointer: pointer && shortened(pointer, 500),
    parameter: parameter && shortened(parameter, 500)
  }),
  code,
  detail: shortened(detail, 2000),
  params
})

export const invalid = (errors: Fault[]) =>
  new Problem(400, 'invalid', errors[0]?.detail ?? 'The request is invalid.', { errors })
export const invalidParameter = (parameter: string, detail: string, params: Params = {}) =>
  invalid([{ parameter, code: 'invalid', detail, params }])
/** For a parameter that the caller does not see, as if it did not exist; or a name in its value. */
export const unknownParameter = (parameter: string, name?: string) =>
  invalid([
    {
      parameter,
      code: 'unknown',
      detail:
        name === undefined
          ? `query parameter ${parameter} is unknown`
          : `query parameter ${parameter}: ${name} is unknown`
    }
  ])
/** For values that a body lacks, by their pointers. */
export const missingFields = (pointers: string[]) =>
  invalid(
    pointers.map(pointer => ({
      pointer,
      code: 'required',
      detail: `${pointer.slice(1)} is required`
    }))
  )
/** For fields of the body that the caller does not see. */
export const unknownFields = (pointers: string[]) =>
  invalid(
    pointers.map(pointer => ({
      pointer,
      code: 'unknown',
      detail: `${pointer.slice(1)} is unknown`
    }))
  )
export const malformed = (detail: string) => new Problem(400, 'malformed', detail)
/** The challenge of RFC 6750. */
export const realm = 'Bearer realm="smartx"'

/** RFC 6750 §3: `error` is only for a token that was sent. */
export const unauthenticated = (
  detail: string,
  code: 'unauthenticated' | 'token_expired' | 'token_invalid' | 'session_ended' = 'unauthenticated'
) =>
  new Problem(401, code, detail, {
    headers: {
      'www-authenticate': code === 'unauthenticated' ? realm : `${realm}, error="invalid_token"`
    }
  })
export const forbidden = (permission: string) =>
  new Problem(403, 'forbidden', `This requires the permission ${permission}.`)
/** For an API token where only a login is accepted. */
export const loginRequired = () =>
  new Problem(403, 'forbidden', 'This requires a login: API tokens are not accepted here.')
/** For what is made of fields that the caller does not see, such as a report. */
export const hiddenFieldsNeeded = () =>
  new Problem(403, 'forbidden', "This requires fields that the user's roles hide.")
/** `pointers`: of the fields in the body that the caller may read and not change. */
export const readOnlyFields = (pointers: string[]) =>
  new Problem(403, 'forbidden', `Read-only for the user's roles: ${namesIn(pointers)}.`, {
    errors: pointers.map(pointer => ({
      pointer,
      code: 'forbidden',
      detail: `${pointer.slice(1)} is read-only for the user's roles`
    }))
  })
const namesIn = (pointers: string[]) => pointers.map(pointer => pointer.slice(1)).join(', ')

/** For a server whose operator creates the organizations. */
export const signupClosed = () =>
  new Problem(403, 'forbidden', 'Sign-up is closed. Ask the operator for an organization.')
/** For roles that would allow more than the caller may do, and for users who have such ones. */
export const notGrantable = () =>
  new Problem(403, 'forbidden', 'This requires all permissions of the role.')
/** For what decides about all records, by someone who reaches only some of them. */
export const fullReachRequired = () =>
  new Problem(403, 'forbidden', 'This requires a role that reaches all records.')
/** For a credential that may not risk what was requested. */
export const tooRisky = (what: string) =>
  new Problem(403, 'forbidden', `${what} require an API token with the risk "destructive".`)
export const notFound = (what: string) => new Problem(404, 'not_found', `No such ${what}.`)
/** `organizations`: the slugs of those that a login could be for. */
export const organizationRequired = (organizations: string[]) =>
  new Problem(409, 'organization_required', 'Choose the organization to log in to.', {
    members: { organizations }
  })
export const conflict = (detail: string) => new Problem(409, 'conflict', detail)
export const duplicate = (field: string) =>
  new Problem(409, 'duplicate', `Another record already has this ${field}.`, {
    errors: [{ pointer: `/${field}`, code: 'duplicate', detail: `${field} is already taken` }]
  })
/** A record that a new one would probably duplicate, and the fields that match. */
export interface Match {
  type: string
  id: number
  name: string
  by: string[]
}
/** A transition that the state of a record does not allow; `allowed` are values that it does. */
export const impossibleMove = (field: string, detail: string, allowed: readonly string[]) =>
  new Problem(409, 'impossible_move', detail, {
    errors: [{ pointer: `/${field}`, code: 'impossible_move', detail, params: { allowed } }],
    members: { allowed }
  })
export const likelyDuplicates = (matches: Match[]) =>
  new Problem(
    409,
    'likely_duplicate',
    `Similar records exist: ${matches.map(describeMatch).join(', ')}.`,
    { members: { matches } }
  )
/** `matches`: the records that a value which should tell one of them belongs to. */
export const ambiguousMatch = (matches: Match[]) =>
  new Problem(
    409,
    'ambiguous_match',
    `Several records match: ${matches.map(describeMatch).join(', ')}.`,
    { members: { matches } }
  )
/** `matches`: the deleted records that match. */
export const deletedMatch = (matches: Match[]) =>
  new Problem(
    409,
    'deleted_match',
    `The record that matches is deleted: ${matches.map(describeMatch).join(', ')}.`,
    { members: { matches } }
  )
const describeMatch = ({ type, id, name }: Match) => `${type} ${id} (${name})`

/** For a filter that finds another number of records than the caller expected. */
export const unexpectedCount = (count: number) =>
  new Problem(
    409,
    'unexpected_count',
    `The filter matches ${count} ${count === 1 ? 'record' : 'records'}.`,
    {
      members: { count }
    }
  )

/** For an undo that changes nothing; `left`: what it would leave, of which some is told. */
export const changedSinceThen = (detail: string, left: readonly object[]) =>
  new Problem(409, 'changed_since', detail, { members: { left: left.slice(0, 200) } })
export const undoForbidden = () =>
  new Problem(403, 'forbidden', "The user's roles do not allow undoing any of these changes.")

export const cursorExpired = () =>
  new Problem(
    410,
    'cursor_expired',
    'The feed does not continue from this cursor: the database was restored to an earlier ' +
      'state, or the cursor is of another organization. Read the records again, for example by ' +
      'an export, then the feed from the cursor of that moment.'
  )

export const stale = (version: number) =>
  new Problem(412, 'stale', `The record has changed: its current version is ${version}.`, {
    headers: { etag: `"${version}"` }
  })
/** For a precondition on a record that there is not (RFC 9110 §13.1.1). */
export const noneToMatch = (what: string) =>
  new Problem(412, 'stale', `There is no such ${what}, which \`If-Match\` requires.`)
/** `fields` of the body, or parameters of the path. */
export const unknownReference = (fields: string[], place: 'body' | 'path' = 'body') =>
  new Problem(
    422,
    'unknown_reference',
    `The referenced record does not exist: ${fields.join(', ')}.`,
    {
      errors: fields.map(field => ({
        ...(place === 'body' ? { pointer: `/${field}` } : { parameter: field }),
        code: 'unknown_reference',
        detail: `${field} must refer to a record that you may read, neither deleted nor disabled`
      }))
    }
  )
/** `params`: the name of the rule, which never changes, and the values in `detail`. */
export const ruleBroken = (
  fields: string | string[],
  detail: string,
  params: Params & { rule: string }
) =>
  new Problem(422, 'rule_broken', detail, {
    errors: [fields].flat().map(field => ({
      pointer: `/${field}`,
      code: 'rule_broken',
      detail,
      params
    }))
  })
/** The same for a parameter of the URL. */
export const parameterBreaksRule = (
  parameter: string,
  detail: string,
  params: Params & { rule: string }
) =>
  new Problem(422, 'rule_broken', detail, {
    errors: [{ parameter, code: 'rule_broken', detail, params }]
  })
export const tooManyRequests = (seconds: number, detail = 'Too many requests.') =>
  new Problem(429, 'too_many_requests', detail, {
    headers: { 'retry-after': String(Math.max(1, Math.ceil(seconds))) }
  })
export const unavailable = (detail: string, seconds = 1) =>
  new Problem(503, 'unavailable', detail, { headers: { 'retry-after': String(seconds) } })

/** Waits for work on a part of a request; its faults point into the whole: `/contact/email`. */
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

/**
 * `email` from a constraint `<table>_email_unique`: constraints are named
 * `<table>_<column>_<kind>`.
 */
function constrainedField(error: PostgresError): string {
  return (error.constraint_name ?? '')
    .replace(`${error.table_name}_`, '')
    .replace(/_(unique|reference|check)$/, '')
}

interface PostgresError {
  code?: string
  syscall?: string
  constraint_name?: string
  hint?: string
  table_name?: string
  message: string
}

/** What postgres.js and sockets report when there is no connection, or none any more. */
const lostConnection = new Set([
  'CONNECTION_CLOSED',
  'CONNECTION_ENDED',
  'CONNECTION_DESTROYED',
  'CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN'
])

/**
 * Whether an error says that the database is unreachable: the connection failed, or the server
 * refused or ended it. A missing file is that of a socket only when it was to be connected to.
 */
export function isUnreachable(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false
  const { code = '', syscall } = error as unknown as PostgresError
  return (
    lostConnection.has(code) ||
    (code === 'ENOENT' && syscall === 'connect') ||
    /^08\w{3}$|^57P0\d$|^25P0[34]$/.test(code)
  )
}

/**
 * Whether an error says that the database cannot work as it should, though it responds: disk,
 * memory or connections are used up (class 53), its files cannot be read or written (58), or it is
 * read-only.
 */
export const isImpaired = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && /^(53|58)\w{3}$|^25006$/.test(String(error.code))

/** Whether Postgres ended a transaction that it found waiting in a circle. */
export const isDeadlock = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === '40P01'

/**
 * An error of Postgres or the connection to it as a problem; undefined for an internal error.
 * SQLSTATE codes: https://www.postgresql.org/docs/18/errcodes-appendix.html
 */
export function problemOfDatabase(error: unknown): Problem | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  if (isUnreachable(error)) return unavailable('The database is unreachable.')
  if (isImpaired(error))
    return unavailable(
      'The database is out of resources or cannot write; nothing was saved. Retry later.',
      impairedSeconds
    )
  const postgres = error as unknown as PostgresError
  switch (postgres.code) {
    case '23505':
      return duplicate(constrainedField(postgres))
    case '23503':
      return unknownReference([constrainedField(postgres)])
    case '23514':
      return ruleBroken(
        constrainedField(postgres),
        postgres.hint ?? `${constrainedField(postgres)} violates a constraint.`,
        { rule: 'constraint' }
      )
    case '40001':
    case '40P01':
      return unavailable(
        'The request conflicted with a concurrent change; nothing was saved. Retry.'
      )
    case '55P03':
      return unavailable('Another request is changing this record; nothing was saved. Retry.')
    case '57014':
      return unavailable('The database took too long to respond.')
  }
  // class 22: data exceptions
  return postgres.code?.startsWith('22')
    ? new Problem(400, 'invalid', 'A value is out of range.')
    : undefined
}

/** Resources take longer to come back than a connection. */
const impairedSeconds = 10

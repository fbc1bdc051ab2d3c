import type { FastifyRequest } from 'fastify'
import { malformed } from '../errors.ts'
import type { Versions } from '../records/repository.ts'

/** The entity tag of a version: strong, since a record's bytes follow from its version. */
export const etagOf = ({ version }: { version: number }) => `"${version}"`

const tags = /^(W\/)?"[\x21\x23-\x7e]*"(\s*,\s*(W\/)?"[\x21\x23-\x7e]*")*$/

/** The versions that `If-Match` allows (RFC 9110 §13.1.1): undefined without the header or with `*`. Errors: 400. */
export function versionsOf(request: FastifyRequest): Versions {
  const header = request.headers['if-match']
  if (header === undefined || header === '*') return undefined
  if (!tags.test(header))
    throw malformed(
      'If-Match takes an entity tag in double quotes, such as "3", as the ETag header has it.'
    )
  // a weak tag never matches here, and what is no number of ours matches no version
  return header.split(',').map(tag => Number(/^"([0-9]{1,9})"$/.exec(tag.trim())?.[1] ?? 0))
}

/** Whether the caller has this entity already (If-None-Match, weak comparison, RFC 9110 §13.1.2). */
export function hasAlready(request: FastifyRequest, etag: string): boolean {
  const header = request.headers['if-none-match']
  return (
    header !== undefined &&
    (header === '*' || header.split(',').some(tag => tag.trim().replace(/^W\//, '') === etag))
  )
}

/** Whether the caller would rather have it done than be asked again (RFC 7240 §4.4). */
export const isLenient = (request: FastifyRequest): boolean =>
  /(^|,)\s*handling\s*=\s*"?lenient"?\s*([,;]|$)/i.test(String(request.headers.prefer ?? ''))

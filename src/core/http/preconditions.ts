import type { FastifyRequest } from 'fastify'
import { malformed } from '../errors.ts'
import type { Versions } from '../records/repository.ts'

/** The entity tag of a version: strong, since a record's bytes follow from its version. */
export const etagOf = ({ version }: { version: number }) => `"${version}"`

const entityTags = /^(W\/)?"[\x21\x23-\x7e]*"(\s*,\s*(W\/)?"[\x21\x23-\x7e]*")*$/

/**
 * The versions that `If-Match` allows (RFC 9110 §13.1.1); undefined without the header or with `*`.
 * Errors: 400.
 */
export function versionsOf(request: FastifyRequest): Versions {
  const header = request.headers['if-match']
  if (header === undefined || header === '*') return undefined
  if (!entityTags.test(header))
    throw malformed('If-Match must be an entity tag in double quotes, as in the ETag header: "3".')
  // a weak tag never matches here, and a tag that is not a version matches none
  return header.split(',').map(tag => Number(/^"([0-9]{1,9})"$/.exec(tag.trim())?.[1] ?? 0))
}

/** Whether the caller has this version: If-None-Match, compared weakly (RFC 9110 §13.1.2). */
export function hasCurrent(request: FastifyRequest, etag: string): boolean {
  const header = request.headers['if-none-match']
  return (
    header !== undefined &&
    (header === '*' || header.split(',').some(tag => tag.trim().replace(/^W\//, '') === etag))
  )
}

import type { FastifyRequest } from 'fastify'

/** The preferences of a request (RFC 7240): `dry-run`, `handling=lenient`, by lower-case names. */
function preferencesOf({ headers }: FastifyRequest): string[] {
  if (headers.prefer === undefined) return []
  return [headers.prefer]
    .flat()
    .join(',')
    .split(',')
    .map(preference => preference.split(';', 1)[0]!.replaceAll(/[\s"]/g, '').toLowerCase())
}

/** Whether the caller accepts what could be refused for caution (RFC 7240 §4.4). */
export const isLenient = (request: FastifyRequest): boolean =>
  preferencesOf(request).includes('handling=lenient')

/** Whether the caller wants to know what a write would do, without doing it. */
export const isDryRun = (request: FastifyRequest): boolean =>
  preferencesOf(request).includes('dry-run')

import type { FastifyRequest } from 'fastify'
import { malformed } from '../errors.ts'

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

/**
 * Whether the caller wants to know what a write would do, without doing it. Errors: 400 for what
 * must mean that and is misspelled; other unknown preferences are ignored, as the RFC requires.
 */
export function isDryRun(request: FastifyRequest): boolean {
  const preferences = preferencesOf(request).filter(preference => preference.includes('dry'))
  if (preferences.some(preference => preference !== 'dry-run'))
    throw malformed('For a dry run, send `Prefer: dry-run`.')
  return preferences.length > 0
}

/** Whether the caller wants whole records where only what was done is told by default. */
export const returnsRepresentation = (request: FastifyRequest): boolean =>
  preferencesOf(request).includes('return=representation')

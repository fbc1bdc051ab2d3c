import { Type } from '@sinclair/typebox'
import type { RouteOptions } from 'fastify'
import { isForSessions } from '../../core/access/permissions.ts'
import { requestHeaders, response, withHeaders } from '../../core/http/responses.ts'
import { Ref } from '../../core/http/schema.ts'
import { DryRun } from '../standard-schemas.ts'

const writing = new Set(['POST', 'PUT', 'PATCH', 'DELETE'])

/** Whether a route writes. */
export const isWrite = ({ method, schema }: RouteOptions): boolean =>
  [method].flat().some(one => writing.has(one)) && schema !== undefined && !schema.hide

/**
 * Whether requests of a route can be one transaction with their response: those with a credential,
 * but for what changes a login. Failed attempts must be recorded whatever becomes of the request.
 */
export const takesWriteOptions = ({ config }: RouteOptions): boolean =>
  config?.permission !== undefined && !isForSessions(config.permission)

const preference =
  '`dry-run` returns what the response would be, with its `effects`, and changes nothing.'

interface Described {
  headers?: { properties: Record<string, { description: string; examples: string[] }> }
  response?: Record<string, object>
}

/** Documents the headers by which a write is carried out as one transaction. */
export function describeWriteOptions(route: RouteOptions): void {
  const described = route.schema as Described
  const { properties: own = {} } = described.headers ?? {}
  const headers = requestHeaders('idempotency-key', 'if-plan')
  const prefer = Type.String({
    maxLength: 200,
    description: [own.prefer?.description, preference].filter(Boolean).join(' '),
    examples: own.prefer?.examples ?? ['dry-run']
  })
  const properties = { ...own, ...headers.properties, prefer }
  described.headers = { ...headers, properties } as never
  described.response = withOptionHeaders(described.response ?? {})
}

/** Responses with the headers that they have when a request has options. */
function withOptionHeaders(responses: Record<string, object>): Record<string, object> {
  const declared = Object.entries(responses).map(([status, response]) => [
    status,
    status === '204'
      ? withHeaders(response, 'Idempotency-Replayed')
      : withHeaders(response, 'Idempotency-Replayed', 'Preference-Applied', 'Plan')
  ])
  const tried = response(200, 'The dry run.', Ref(DryRun), 'Preference-Applied', 'Plan')
  return { ...(204 in responses && tried), ...Object.fromEntries(declared) }
}

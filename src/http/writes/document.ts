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

/** Whether the requests of a route have credentials, to which keys belong. */
export const takesKeys = ({ config }: RouteOptions): boolean => config?.permission !== undefined

/** Whether a route can be tried without effect: a login is changed outside of transactions. */
export const takesDryRuns = ({ config }: RouteOptions): boolean =>
  config?.permission !== undefined && !isForSessions(config.permission)

const preference =
  '`dry-run` returns what the response would be, with its `effects`, and changes nothing.'

interface Described {
  headers?: { properties: Record<string, { description: string }> }
  response?: Record<string, object>
}

/** Documents the headers by which a write is carried out as one transaction. */
export function describeTerms(route: RouteOptions): void {
  const described = route.schema as Described
  const { properties: own = {} } = described.headers ?? {}
  const isTried = takesDryRuns(route)
  const headers = isTried
    ? requestHeaders('idempotency-key', 'if-plan')
    : requestHeaders('idempotency-key')
  const prefer = Type.String({
    maxLength: 200,
    description: [own.prefer?.description, preference].filter(Boolean).join(' '),
    examples: ['dry-run']
  })
  const properties = { ...own, ...headers.properties, ...(isTried && { prefer }) }
  described.headers = { ...headers, properties } as never
  described.response = withTerms(described.response ?? {}, isTried)
}

/** Responses with the headers that they have when a request has terms. */
function withTerms(responses: Record<string, object>, isTried: boolean): Record<string, object> {
  const declared = Object.entries(responses).map(([status, response]) => [
    status,
    isTried && status !== '204'
      ? withHeaders(response, 'Idempotency-Replayed', 'Preference-Applied', 'Plan')
      : withHeaders(response, 'Idempotency-Replayed')
  ])
  const tried = response(200, 'The dry run.', Ref(DryRun), 'Preference-Applied', 'Plan')
  return { ...(isTried && 204 in responses && tried), ...Object.fromEntries(declared) }
}

import autocannon from 'autocannon'
import type { Case } from './cases.ts'
import { probe, type Process } from './processes.ts'

let requestCount = 0

/**
 * Sends requests of a case over 32 connections. Returns the CPU time in µs per request, and the
 * requests per second. Errors: if a response is not 2xx.
 */
export async function load(
  server: Process,
  prefix: string,
  { path, headers, body, method }: Case,
  commonHeaders: Record<string, string>,
  seconds: number
): Promise<{ cpu: number; rate: number }> {
  const before = await probe(server, 'usage')
  const result = await autocannon({
    url: server.url,
    connections: 32,
    duration: seconds,
    requests: [
      {
        method,
        headers: {
          ...commonHeaders,
          ...headers,
          ...(body && { 'content-type': 'application/json' })
        },
        setupRequest: request => {
          const i = requestCount++
          return {
            ...request,
            path: prefix + path(i),
            ...(body && { body: JSON.stringify(body(i)) })
          }
        }
      }
    ]
  })
  const after = await probe(server, 'usage')
  const succeeded = result['2xx']
  if (succeeded === 0 || result.non2xx + result.errors + result.timeouts > 0)
    throw new Error(
      `${method} ${prefix}${path(0)}: ${result.errors} errors, ` +
        `responses by status: ${JSON.stringify(result.statusCodeStats)}`
    )
  return { cpu: (after.cpu - before.cpu) / succeeded, rate: succeeded / result.duration }
}

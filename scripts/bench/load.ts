import autocannon from 'autocannon'
import type { Case } from './cases.ts'
import { ask, type Process } from './processes.ts'

let sent = 0

/** 32 connections for so many seconds. Errors: any answer that is not 2xx. */
export async function load(
  server: Process,
  prefix: string,
  { path, headers, body, method }: Case,
  common: Record<string, string>,
  seconds: number
): Promise<{ cpu: number; rate: number }> {
  const before = await ask(server, 'usage')
  const result = await autocannon({
    url: server.url,
    connections: 32,
    duration: seconds,
    requests: [
      {
        method,
        headers: { ...common, ...headers, ...(body && { 'content-type': 'application/json' }) },
        setupRequest: request => {
          const i = sent++
          return {
            ...request,
            path: prefix + path(i),
            ...(body && { body: JSON.stringify(body(i)) })
          }
        }
      }
    ]
  })
  const after = await ask(server, 'usage')
  const answered = result['2xx']
  if (answered === 0 || result.non2xx + result.errors + result.timeouts > 0)
    throw new Error(
      `${prefix} ${method} ${path(0)}: ${JSON.stringify(result.statusCodeStats)}, ` +
        `${result.errors} errors`
    )
  return { cpu: (after.cpu - before.cpu) / answered, rate: answered / result.duration }
}

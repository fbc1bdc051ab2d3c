import {
  LogController,
  type FastifyBaseLogger,
  type FastifyReply,
  type FastifyRequest
} from 'fastify'
import type { PrettyOptions } from 'pino-pretty'
import { shownPathOf } from './problems.ts'

/** A logger that is its own child: one for each request costs more than logging its ID. */
export function withoutChildren(logger: FastifyBaseLogger): FastifyBaseLogger {
  const only: FastifyBaseLogger = Object.assign(Object.create(logger) as FastifyBaseLogger, {
    child: () => only
  })
  return only
}

/** What a line of the log may have; see `requestCompleted`. */
interface Line {
  msg?: string
  request_id?: string
  method?: string
  path?: string
  status?: number
  ms?: number
  user_id?: number
  failure?: string
  aborted?: string
}

/** A request in one line: `GET /api/contacts 200 3.1 ms (9f2c4a0d11-7)`. */
function describe({ msg = '', request_id, ...line }: Line): string {
  const what = line.method
    ? [line.method, line.path, line.status, line.ms, 'ms', line.failure ?? line.aborted]
    : [msg]
  const id = request_id === undefined ? undefined : `(${request_id})`
  return [...what, id].filter(part => part !== undefined).join(' ')
}

/** Options of pino-pretty for a terminal: one line per request, and the stacks of errors. */
export const terminalFormat: PrettyOptions = {
  ignore: 'pid,hostname,request_id,method,path,status,ms,ip,user_id,failure,aborted',
  translateTime: 'HH:MM:ss',
  messageFormat: line => describe(line)
}

/** One line per request, without headers, bodies and queries: what is not logged cannot leak. */
export class RequestLog extends LogController {
  override incomingRequest() {}

  override requestCompleted(
    error: Error | null | undefined,
    request: FastifyRequest,
    reply: FastifyReply
  ) {
    request.log.info(
      {
        request_id: request.id,
        method: request.method,
        path: shownPathOf(request),
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime * 10) / 10,
        ip: request.ip,
        user_id: request.principal?.user_id,
        failure: request.failure,
        ...(error && { aborted: error.message })
      },
      'request'
    )
  }

  /** `http/problems` logs what was thrown. */
  override defaultErrorLog() {}

  override streamError(error: Error, request: FastifyRequest) {
    request.log.warn({ request_id: request.id, err: error }, 'aborted')
  }
}

import {
  LogController,
  type FastifyBaseLogger,
  type FastifyReply,
  type FastifyRequest
} from 'fastify'
import { pathOf } from './problems.ts'

/** A logger that is its own child: one for each request costs more than logging its ID. */
export function withoutChildren(logger: FastifyBaseLogger): FastifyBaseLogger {
  const only: FastifyBaseLogger = Object.assign(Object.create(logger) as FastifyBaseLogger, {
    child: () => only
  })
  return only
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
        path: pathOf(request),
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

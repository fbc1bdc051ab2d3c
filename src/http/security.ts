import cors from '@fastify/cors'
import helmet, { type FastifyHelmetOptions } from '@fastify/helmet'
import Fastify, { type ConnectionError, type FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { randomBytes } from 'node:crypto'
import { STATUS_CODES, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { malformed, Problem } from '../core/errors.ts'

type Headers = Record<string, string>

/** The headers of the SmartX contract, and those of helmet that matter to an API. */
const policy: FastifyHelmetOptions = {
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      defaultSrc: ["'self'"],
      objectSrc: ["'none'"],
      baseUri: ["'none'"],
      frameAncestors: ["'none'"]
    }
  },
  frameguard: { action: 'deny' },
  hsts: { maxAge: 31_536_000, includeSubDomains: true },
  crossOriginOpenerPolicy: false,
  originAgentCluster: false,
  dnsPrefetchControl: false,
  ieNoOpen: false,
  permittedCrossDomainPolicies: false
}

/** Swagger UI has inline styles, and icons from data: URLs. */
export const docsContentPolicy = [
  "default-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "object-src 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'"
].join('; ')

/**
 * Helmet's headers, computed once: it computes the same ones for each request, which costs as much
 * as a cached read.
 */
async function helmetHeaders(): Promise<Headers> {
  const probe = Fastify()
  await probe.register(helmet, policy)
  probe.get('/', async () => '')
  const { headers } = await probe.inject('/')
  await probe.close()
  const {
    connection: _c,
    date: _d,
    'content-length': _l,
    'content-type': _t,
    ...kept
  } = headers as Headers
  return {
    ...kept,
    'x-xss-protection': '1; mode=block',
    'cache-control': 'no-store',
    vary: 'Accept, Accept-Encoding, Authorization'
  }
}

const idShape = /^[A-Za-z0-9_-]{8,64}$/
const processId = randomBytes(5).toString('hex')
let requests = 0
const newRequestId = () => `${processId}-${(++requests).toString(36)}`

/** The caller's X-Request-Id if it is valid, otherwise one that is unique across processes. */
export function requestId({ headers }: IncomingMessage): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && idShape.test(given) ? given : newRequestId()
}

/** RFC 9112 §3.2: a proxy may have checked one of them, and another one would be used. */
function hasSeveralHosts({ rawHeaders }: IncomingMessage): boolean {
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  return hosts > 1
}

declare module 'fastify' {
  interface FastifyInstance {
    securityHeaders: Headers
    /** Whether the first admin may not exist yet. */
    starting: boolean
    draining: boolean
  }
}

/**
 * Security headers, X-Request-Id, Server-Timing and CORS on every response. `origins` may read
 * responses in browsers. While the process is `draining`, responses close their connections.
 */
export const security = fp<{ origins: string[] }>(async (app, { origins }) => {
  const headers = await helmetHeaders()
  app.decorate('securityHeaders', headers)
  app.decorate('starting', false)
  app.decorate('draining', false)

  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(headers).header('x-request-id', request.id)
    done(
      hasSeveralHosts(request.raw)
        ? malformed('The request has more than one Host header.')
        : undefined
    )
  })
  app.addHook('onSend', (_request, reply, _payload, done) => {
    reply.header('server-timing', `total;dur=${reply.elapsedTime.toFixed(1)}`)
    if (app.draining) reply.header('connection', 'close')
    done()
  })

  // otherwise Node answers an unknown `Expect` by itself, without these headers
  app.server.on('checkExpectation', (request, response) => {
    app.server.emit('request', request, response)
  })

  if (origins.length > 0) {
    await app.register(cors, {
      origin: origins,
      methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
      exposedHeaders: [
        'Allow',
        'Content-Disposition',
        'ETag',
        'Link',
        'Location',
        'Preference-Applied',
        'RateLimit',
        'RateLimit-Policy',
        'Retry-After',
        'Server-Timing',
        'X-Request-Id'
      ],
      maxAge: 600
    })
  }
})

const clientErrors: Record<string, ConstructorParameters<typeof Problem>> = {
  HPE_HEADER_OVERFLOW: [431, 'headers_too_large', 'The header fields are larger than 16 KiB.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'timeout', 'The request was not received in time.']
}

/** Responds to invalid HTTP and slow requests: there is no reply, so the response is text. */
export function clientErrorHandler(
  this: FastifyInstance,
  error: ConnectionError,
  socket: Socket
): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) return
  const problem = new Problem(
    ...(clientErrors[error.code] ?? ([400, 'malformed', 'The request is not valid HTTP.'] as const))
  )
  const request_id = newRequestId()
  const body = JSON.stringify(problem.body('', request_id))
  const headers = {
    ...this.securityHeaders,
    'x-request-id': request_id,
    'content-type': 'application/problem+json; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close'
  }
  this.log.info({ request_id, status: problem.status, code: error.code }, 'request')
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const status = `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\n`
  socket.end(`${status}${lines.join('')}\r\n${body}`)
}

import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import fp from 'fastify-plugin'
import { STATUS_CODES } from 'node:http'
import { Event, EventPage, Problem } from '../kit/schema.ts'
import { docsContentPolicy } from './security.ts'

interface Operation {
  security?: unknown[], requestBody?: unknown, parameters?: { name: string }[]
  responses: Record<string, { headers?: Record<string, unknown> } | { $ref: string }>
}
type Paths = Record<string, Record<string, Operation>>

const introduction = `The SmartX CRM: contacts, accounts, leads and opportunities behind one REST API.

**Log in** with *Authorize* (user name and password), or \`POST /api/auth/login\` and send \`Authorization: Bearer <token>\`.

**Lists** come in pages: follow \`next_cursor\` or the \`Link\` header while \`has_more\` is true. Filter by \`field=value\` or
\`field[operator]=value\`, sort by \`sort=-created_at,last_name\`, search with \`q\`; \`fields\` narrows each record to the fields
named, whatever the schema requires. \`Accept: text/csv\` or \`application/x-ndjson\` streams the whole list.

**Changes**: \`PUT\` and \`PATCH\` change the fields given. Send the \`ETag\` back as \`If-Match\` and nobody's change is lost.

**Errors** are \`application/problem+json\` (RFC 9457): \`code\` for programs, \`detail\` for people, \`errors\` with the place of each fault.

The examples point at record 1 of each kind, and at user 2: make one of each by its POST example, and all the others work.`

const tags = [
  { name: 'auth', description: 'Logging in and out.' },
  { name: 'contacts', description: 'People.' },
  { name: 'accounts', description: 'Companies.' },
  { name: 'leads', description: 'Who may become a customer.' },
  { name: 'opportunities', description: 'Sales that may come about.' },
  { name: 'users', description: 'Who logs in. For admins.' },
  { name: 'problems', description: 'What errors mean.' },
  { name: 'health', description: 'For load balancers.' }
]

const server = { url: '/', description: 'The server that this document is from: local, staging or production.', 'x-internal': false }

const header = (description: string, schema: object) => ({ description, schema })
const text = (example: string) => ({ type: 'string', maxLength: 2000, pattern: '^[\\x20-\\x7e]*$', example })
const headers = {
  'X-Request-Id': header('The id of the request: yours if you sent one of 8 to 64 letters, digits, _ or -.', text('k3v9x2a1-1f')),
  RateLimit: header('What is left of the limit (`r`) and the seconds until it is whole again (`t`).', text('"client";r=9999;t=60')),
  'RateLimit-Policy': header('The limit: `q` requests in `w` seconds.', text('"client";q=10000;w=60')),
  'Server-Timing': header('Milliseconds the server took.', text('total;dur=1.2')),
  'Access-Control-Allow-Origin': header('Your origin, if it is one of CORS_ORIGINS.', text('https://app.example.com')),
  'Retry-After': header('Seconds to wait before trying again.', { type: 'integer', format: 'int32', minimum: 1, maximum: 86400, example: 1 }),
  'WWW-Authenticate': header('How to authenticate.', text('Bearer realm="smartx"')),
  ETag: header('The version of the record, for If-Match and If-None-Match.', text('"1"')),
  Location: header('Where the new record is.', text('/api/contacts/1')),
  Link: header('The next page, if there is one.', text('<http://127.0.0.1:3000/api/contacts?cursor=…>; rel="next"'.replace('…', 'x')))
}
const refer = (kind: string, name: string) => ({ $ref: `#/components/${kind}/${name}` })
const always = ['X-Request-Id', 'RateLimit', 'RateLimit-Policy', 'Server-Timing', 'Access-Control-Allow-Origin']
const headerRefs = (names: string[]) => Object.fromEntries(names.map(name => [name, refer('headers', name)]))

const problemStatuses = [400, 401, 403, 404, 406, 408, 409, 412, 413, 414, 415, 422, 429, 431, 500, 503]
const nameOf = (status: number) => STATUS_CODES[status]!.replaceAll(/[^A-Za-z]/g, '')
const extras: Record<number, string[]> = { 401: ['WWW-Authenticate'], 412: ['ETag'], 429: ['Retry-After'], 503: ['Retry-After'] }
const responses = Object.fromEntries(problemStatuses.map(status => [nameOf(status), {
  description: STATUS_CODES[status],
  headers: headerRefs([...always, ...extras[status] ?? []]),
  content: { 'application/problem+json': { schema: refer('schemas', 'Problem') } }
}]))

const takes = ({ parameters = [] }: Operation, name: string) => parameters.some(parameter => parameter.name === name)
const checksPassword = (path: string) => ['/api/auth/login', '/api/auth/refresh'].includes(path)

/** The refusals an operation can answer with, from what it is. */
function refusalsOf (method: string, path: string, operation: Operation): number[] {
  const { security, requestBody } = operation
  return [
    400, 408, 429, 431, 500, 503,
    ...security || checksPassword(path) ? [401] : [],
    ...security ? [403] : [],
    ...path.includes('{') ? [404, 414] : [],
    ...takes(operation, 'count') ? [406] : [],
    ...method === 'get' ? [] : [413, 415],
    ...security && method !== 'get' ? [409] : [],
    ...security && requestBody ? [422] : [],
    ...takes(operation, 'if-match') ? [412] : []
  ]
}

/** The headers of what it answers with when all is well. */
function headersOf (method: string, path: string, operation: Operation, status: string): string[] {
  const isRecord = path.endsWith('/{id}') || path.endsWith('/restore') || status === '201'
  return [
    ...always,
    ...status === '201' ? ['Location'] : [],
    ...operation.security && isRecord && status !== '204' ? ['ETag'] : [],
    ...method === 'get' && takes(operation, 'limit') ? ['Link'] : []
  ]
}

/** What is the same for every operation, written once instead of in every route. */
function complete (document: { paths?: object, components?: object }) {
  for (const [path, operations] of Object.entries(document.paths as Paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      for (const [status, answer] of Object.entries(operation.responses)) {
        if (!('$ref' in answer)) answer.headers = { ...headerRefs(headersOf(method, path, operation, status)), ...answer.headers }
      }
      for (const status of refusalsOf(method, path, operation)) operation.responses[status] ??= refer('responses', nameOf(status))
      operation.security ??= [] // public, and not by oversight
    }
  }
  document.components = { ...document.components, headers, responses }
  return document
}

/** The document at `/openapi.json`, generated from the schemas of the routes, and Swagger UI at `/docs`. */
export const openapi = fp<{ version: string }>(async (app, { version }) => {
  for (const schema of [Problem, Event, EventPage]) app.addSchema(schema)

  await app.register(swagger, {
    openapi: {
      openapi: '3.0.3',
      info: {
        title: 'SmartX CRM API', version, description: introduction,
        contact: { name: 'SmartX CRM', url: 'https://github.com/chiragkd91/SmartX-CRM', email: 'api@smartx.example' },
        license: { name: 'MIT', url: 'https://opensource.org/license/mit' }
      },
      servers: [server],
      tags,
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'The token of POST /api/auth/login, a JWT (RFC8725).' },
          password: { type: 'oauth2', description: 'Log in here with user name and password; leave client_id and client_secret empty. The token is a JWT (RFC8725).', flows: { password: { tokenUrl: '/api/auth/token', refreshUrl: '/api/auth/token', scopes: {} } } }
        }
      }
    },
    refResolver: { buildLocalReference: (json, _base, _fragment, i) => typeof json.$id === 'string' ? json.$id : `def-${i}` },
    transformObject: document => complete('openapiObject' in document ? document.openapiObject : {}) as never
  })

  let document: string | undefined
  app.get('/openapi.json', {
    config: { public: true }, schema: { hide: true, operationId: 'getDocument' }
  }, (_request, reply) => reply.header('cache-control', 'public, max-age=300').type('application/json; charset=utf-8').send(document ??= JSON.stringify(app.swagger())))

  await app.register(async docs => {
    docs.addHook('onRoute', route => { route.config = { ...route.config, public: true } })
    docs.addHook('onRequest', (_request, reply, done) => { reply.header('content-security-policy', docsContentPolicy); done() })
    await docs.register(swaggerUi, {
      routePrefix: '/docs',
      uiConfig: { docExpansion: 'none', displayRequestDuration: true, persistAuthorization: true, tryItOutEnabled: true, filter: true },
      theme: { title: 'SmartX CRM API' }
    })
  })
})

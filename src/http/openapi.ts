import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import fp from 'fastify-plugin'
import { STATUS_CODES } from 'node:http'
import * as errors from '../core/errors.ts'
import { Event, EventPage, Problem } from '../core/http/schema.ts'
import { problemOf } from './problems.ts'
import { docsContentPolicy } from './security.ts'

interface Operation {
  security?: unknown[]
  requestBody?: unknown
  parameters?: { name: string }[]
  responses: Record<
    string,
    { headers?: Record<string, unknown>; content?: Record<string, unknown> } | { $ref: string }
  >
}
type Paths = Record<string, Record<string, Operation>>

const introduction = `The SmartX CRM: contacts, accounts, leads and opportunities behind one REST API.

**Log in** with *Authorize* (user name and password), or \`POST /api/auth/login\` and send \`Authorization: Bearer <token>\`.

**Lists** come in pages: follow \`next_cursor\` or the \`Link\` header while \`has_more\` is true. Filter by \`field=value\` or
\`field[operator]=value\`, sort by \`sort=-created_at,last_name\`, search with \`q\`; \`fields\` narrows each record to the fields
named, whatever the schema requires. \`Accept: text/csv\` or \`application/x-ndjson\` streams the whole list.

**Changes**: \`PUT\` and \`PATCH\` change the fields given. Send the \`ETag\` back as \`If-Match\` and nobody's change is lost.

**Errors** are \`application/problem+json\` (RFC 9457): \`code\` for programs, \`detail\` for people, \`errors\` with the place of each fault.

**The examples** work from top to bottom: each \`POST\` makes a record, and the others point at record 1 of its kind, or user 2, pipeline 2, stage 7. Except:
\`login\`, \`token\` and \`change-password\` want your own password, \`refresh\` your own refresh token; \`change-password\` and \`logout\` end
the session: authorize again.`

const tags = [
  { name: 'auth', description: 'Logging in and out.' },
  { name: 'contacts', description: 'People.' },
  { name: 'accounts', description: 'Companies.' },
  { name: 'leads', description: 'Who may become a customer.' },
  { name: 'opportunities', description: 'Sales that may come about.' },
  { name: 'activities', description: 'Calls, e-mails, meetings, tasks and notes.' },
  { name: 'campaigns', description: 'What is done to win customers, and what it brought.' },
  { name: 'campaign-members', description: 'Whom a campaign is for.' },
  { name: 'reports', description: 'Numbers, each with the filter of the list that adds up to it.' },
  { name: 'tags', description: 'Words to sort records by.' },
  { name: 'pipelines', description: 'Ways of selling. For admins to change.' },
  { name: 'stages', description: 'The steps of a pipeline. For admins to change.' },
  { name: 'scoring-models', description: 'How leads are scored. For admins to change.' },
  { name: 'assignment-rules', description: 'Who gets new records. For admins to change.' },
  { name: 'teams', description: 'Users who share work. For admins to change.' },
  { name: 'territories', description: 'Parts of the market. For admins to change.' },
  { name: 'users', description: 'Who logs in. For admins.' },
  { name: 'problems', description: 'What errors mean.' },
  { name: 'health', description: 'For load balancers.' }
]

const server = {
  url: '/',
  description: 'The server that this document is from: local, staging or production.',
  'x-internal': false
}

const header = (description: string, schema: object) => ({ description, schema })
const text = (example: string) => ({
  type: 'string',
  maxLength: 2000,
  pattern: '^[\\x20-\\x7e]*$',
  example
})
const headers = {
  'X-Request-Id': header(
    'The id of the request: yours if you sent one of 8 to 64 letters, digits, _ or -.',
    text('k3v9x2a1-1f')
  ),
  RateLimit: header(
    'What is left of the limit (`r`) and the seconds until it is whole again (`t`).',
    text('"client";r=9999;t=60')
  ),
  'RateLimit-Policy': header(
    'The limit: `q` requests in `w` seconds.',
    text('"client";q=10000;w=60')
  ),
  'Server-Timing': header('Milliseconds the server took.', text('total;dur=1.2')),
  'Access-Control-Allow-Origin': header(
    'Your origin, if it is one of CORS_ORIGINS.',
    text('https://app.example.com')
  ),
  'Retry-After': header('Seconds to wait before trying again.', {
    type: 'integer',
    format: 'int32',
    minimum: 1,
    maximum: 86400,
    example: 1
  }),
  'WWW-Authenticate': header('How to authenticate.', text('Bearer realm="smartx"')),
  ETag: header('The version of the record, for If-Match and If-None-Match.', text('"1"')),
  Location: header('Where the new record is.', text('/api/contacts/1')),
  Link: header('The next page, if there is one.', text('</api/contacts?cursor=x>; rel="next"')),
  'Preference-Applied': header('What was done of `Prefer` (RFC 7240).', text('handling=lenient'))
}
const refer = (kind: string, name: string) => ({ $ref: `#/components/${kind}/${name}` })
const always = [
  'X-Request-Id',
  'RateLimit',
  'RateLimit-Policy',
  'Server-Timing',
  'Access-Control-Allow-Origin'
]
const headerRefs = (names: string[]) =>
  Object.fromEntries(names.map(name => [name, refer('headers', name)]))

/** A refusal of each status, as the API would send it, by the path it is an answer to. */
const refusals: Record<string, errors.Problem[]> = {
  '/api/contacts': [
    errors.invalid([
      { pointer: '/email', code: 'format', detail: 'email must match format "email"' }
    ]),
    new errors.Problem(
      406,
      'not_acceptable',
      'This is spoken in application/json, text/csv, application/x-ndjson.'
    ),
    problemOf({ statusCode: 413 }),
    problemOf({ statusCode: 415 }),
    errors.unknownReference(['account_id'])
  ],
  '/api/contacts/1': [
    errors.unauthenticated('The token has expired. Refresh the session.', 'token_expired'),
    errors.forbidden('contacts:write'),
    errors.notFound('contact'),
    new errors.Problem(408, 'timeout', 'The request did not arrive in time.'),
    errors.stale(2),
    problemOf({ statusCode: 414 }),
    errors.tooManyRequests(1),
    new errors.Problem(431, 'headers_too_large', 'The header fields are larger than 16 KiB.'),
    problemOf({ statusCode: 500 }),
    errors.unavailable('The database cannot be reached right now.')
  ],
  '/api/users': [errors.duplicate('email')]
}
const nameOf = (status: number) => STATUS_CODES[status]!.replaceAll(/[^A-Za-z]/g, '')
const responses = Object.fromEntries(
  Object.entries(refusals).flatMap(([path, problems]) =>
    problems.map(problem => [
      nameOf(problem.status),
      {
        description: STATUS_CODES[problem.status],
        headers: headerRefs([
          ...always,
          ...Object.keys(headers).filter(
            name => name.toLowerCase() in (problem.extra.headers ?? {})
          )
        ]),
        content: {
          'application/problem+json': {
            schema: refer('schemas', 'Problem'),
            example: problem.body(path, 'k3v9x2a1-1f')
          }
        }
      }
    ])
  )
)

const takes = ({ parameters = [] }: Operation, name: string) =>
  parameters.some(parameter => parameter.name === name)
const speaksSeveral = ({ responses: { 200: answer } }: Operation) =>
  answer !== undefined && 'content' in answer && Object.keys(answer.content).length > 1
const checksPassword = (path: string) => ['/api/auth/login', '/api/auth/refresh'].includes(path)

/** The refusals an operation can answer with, from what it is. */
function refusalsOf(method: string, path: string, operation: Operation): number[] {
  const { security, requestBody } = operation
  return [
    400,
    408,
    429,
    431,
    500,
    503,
    ...(security || checksPassword(path) ? [401] : []),
    ...(security ? [403] : []),
    ...(path.includes('{') ? [404, 414] : []),
    ...(speaksSeveral(operation) ? [406] : []),
    ...(method === 'get' ? [] : [413, 415]),
    ...(security && method !== 'get' ? [409] : []),
    ...(security && requestBody ? [422] : []),
    ...(takes(operation, 'if-match') ? [412] : [])
  ]
}

/** The headers of what it answers with when all is well. */
function headersOf(method: string, path: string, operation: Operation, status: string): string[] {
  const isRecord =
    path.endsWith('/{id}') ||
    path.endsWith('/restore') ||
    takes(operation, 'if-match') ||
    status === '201'
  return [
    ...always,
    ...(status === '201' ? ['Location'] : []),
    ...(operation.security && isRecord && status !== '204' ? ['ETag'] : []),
    ...(method === 'get' && takes(operation, 'cursor') ? ['Link'] : []),
    ...(takes(operation, 'prefer') ? ['Preference-Applied'] : [])
  ]
}

/** What is the same for every operation, written once instead of in every route. */
function complete(document: { paths?: object; components?: object }) {
  for (const [path, operations] of Object.entries(document.paths as Paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      for (const [status, answer] of Object.entries(operation.responses)) {
        if (!('$ref' in answer))
          answer.headers = {
            ...headerRefs(headersOf(method, path, operation, status)),
            ...answer.headers
          }
      }
      for (const status of refusalsOf(method, path, operation))
        operation.responses[status] ??= refer('responses', nameOf(status))
      operation.security ??= [] // public, and not by oversight
    }
  }
  document.components = { ...document.components, headers, responses }
  return document
}

const icon =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><rect width="8" height="8" rx="2" fill="#49cc90"/><path d="M2 2l4 4M6 2L2 6" stroke="#fff"/></svg>'
/** A login needs a name and a password only; an error is one line until it is clicked. */
const style = `
.swagger-ui .auth-container :is(.scope-def, .wrapper:has(> [for=password_type], > [for^=client_])) { display: none }
.swagger-ui tr:is([data-code^="4"], [data-code^="5"]) :is(.response-col_status, .response-col_description__inner) { cursor: pointer }
.swagger-ui tr:is([data-code^="4"], [data-code^="5"]) .response-col_status::after { content: ' ▾' }
.swagger-ui tr:is([data-code^="4"], [data-code^="5"]):not(.open) :is(.response-controls, .model-example, .headers-wrapper) { display: none }`
const unfold = `addEventListener('click', ({ target }) => target.closest('.response-col_status, .response-col_description__inner')?.closest('tr').classList.toggle('open'))`

/** The document at `/openapi.json`, generated from the schemas of the routes, and Swagger UI at `/docs`. */
export const openapi = fp<{ version: string }>(async (app, { version }) => {
  for (const schema of [Problem, Event, EventPage]) app.addSchema(schema)

  await app.register(swagger, {
    openapi: {
      openapi: '3.0.3',
      info: {
        title: 'SmartX CRM API',
        version,
        description: introduction,
        contact: {
          name: 'SmartX CRM',
          url: 'https://github.com/chiragkd91/SmartX-CRM',
          email: 'api@smartx.example'
        },
        license: { name: 'MIT', url: 'https://opensource.org/license/mit' }
      },
      servers: [server],
      tags,
      components: {
        securitySchemes: {
          // the first one is what Authorize shows first
          password: {
            type: 'oauth2',
            description: 'Log in here with user name and password. The token is a JWT (RFC8725).',
            flows: {
              password: { tokenUrl: '/api/auth/token', refreshUrl: '/api/auth/token', scopes: {} }
            }
          },
          bearer: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description: 'The token of POST /api/auth/login, a JWT (RFC8725).'
          }
        }
      }
    },
    refResolver: {
      buildLocalReference: (json, _base, _fragment, i) =>
        typeof json.$id === 'string' ? json.$id : `def-${i}`
    },
    transformObject: document =>
      complete('openapiObject' in document ? document.openapiObject : {}) as never
  })

  let document: string | undefined
  app.get(
    '/openapi.json',
    {
      config: { public: true },
      schema: { hide: true, operationId: 'getDocument' }
    },
    (_request, reply) =>
      reply
        .header('cache-control', 'public, max-age=300')
        .type('application/json; charset=utf-8')
        .send((document ??= JSON.stringify(app.swagger())))
  )

  app.get('/', { config: { public: true }, schema: { hide: true } }, (_request, reply) =>
    reply.redirect('/docs')
  )

  await app.register(async docs => {
    docs.addHook('onRoute', route => {
      route.config = { ...route.config, public: true }
    })
    docs.addHook('onRequest', (_request, reply, done) => {
      reply.header('content-security-policy', docsContentPolicy)
      done()
    })
    await docs.register(swaggerUi, {
      routePrefix: '/docs',
      uiConfig: {
        layout: 'BaseLayout',
        docExpansion: 'none',
        displayRequestDuration: true,
        persistAuthorization: true,
        tryItOutEnabled: true,
        filter: true
      },
      theme: {
        title: 'SmartX CRM API',
        favicon: [
          { filename: 'icon.svg', rel: 'icon', type: 'image/svg+xml', sizes: 'any', content: icon }
        ],
        css: [{ filename: 'style.css', content: style }],
        js: [{ filename: 'unfold.js', content: unfold }]
      }
    })
  })
})

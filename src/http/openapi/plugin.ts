import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { Csv, Ndjson } from '../../core/http/resource-reads.ts'
import { withCompression } from '../../core/http/compression.ts'
import { json } from '../../core/http/responses.ts'
import { Event, EventPage } from '../../modules/identity/audit/schema.ts'
import { DryRun, Effect, Problem } from '../standard-schemas.ts'
import { completeDocument } from './complete.ts'
import { headers, responses } from './components.ts'
import { swaggerDocs } from './docs.ts'
import type { Document } from './document.ts'
import { renderingIn31 } from './rendering-3.1.ts'

const introduction = `The SmartX CRM: contacts, accounts, leads, opportunities and everything a
sales team does with them, behind one REST API.

**Log in** with *Authorize* (username and password), or with \`POST /api/auth/login\`, and
send \`Authorization: Bearer <token>\`.

**Lists** are paginated: follow \`next_cursor\` or the \`Link\` header while \`has_more\` is
true. Filter with \`field=value\` or \`field[operator]=value\`, sort with
\`sort=-created_at,last_name\`, search with \`q\`. \`fields\` limits each record to the named
fields; even required fields are omitted unless named. \`Accept: text/csv\` or
\`application/x-ndjson\` streams the whole list.

**Updates**: \`PUT\` and \`PATCH\` change only the given fields. Send the \`ETag\` as
\`If-Match\` to avoid overwriting concurrent changes.

**Retries**: with an \`Idempotency-Key\` of its own, a request can be repeated: it is carried out
once, and the response is the same. \`Prefer: dry-run\` tells what a request would do; the
\`Plan\` of the response, sent as \`If-Plan\`, does exactly that. Records are found and upserted by
their IDs in other systems (\`external_ids\`). What changes several records, such as a
conversion, is an operation that can be undone.

**Errors** are \`application/problem+json\` (RFC 9457): \`code\` is for programs, \`detail\` is
for people, and \`errors\` gives the location of each problem.

**The examples** work in order, from top to bottom: each \`POST\` creates a record; the others
refer to record 1 of its type, or to user 2, pipeline 2, stage 7 and operation 2. Exceptions: a
job exists only once one was started; \`login\`,
\`token\` and \`change-password\` require your own password, and \`refresh\` your own refresh
token; confirming a second factor requires a code of your app; \`change-password\` and
\`logout\` end the session, so authorize again afterward.`

const info = {
  title: 'SmartX CRM API',
  contact: {
    name: 'SmartX CRM',
    url: 'https://github.com/chiragkd91/SmartX-CRM',
    email: 'api@smartx.example'
  },
  license: { name: 'MIT', url: 'https://opensource.org/license/mit' }
}

/** A full URL: clients that are generated from a file do not know where it came from. */
const serversAt = (url = 'http://127.0.0.1:3000') => [
  {
    url: url.replace(/\/$/, ''),
    description: 'Local, staging or production: PUBLIC_URL.',
    'x-internal': false
  }
]

const tokenUrl = '/api/auth/token'
const securitySchemes = {
  // Authorize shows the first one first
  password: {
    type: 'oauth2',
    description: 'Log in with a username and a password. The token is a JWT (RFC8725).',
    flows: { password: { tokenUrl, refreshUrl: tokenUrl, scopes: {} } }
  },
  bearer: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description:
      'The `token` of a login (`POST /api/auth/login`), a JWT (RFC8725), or an API token ' +
      '(`POST /api/api-tokens`).'
  }
} as const

interface Options {
  version: string
  /** Default: where `npm start` listens. */
  public_url: string | undefined
}

/** The document at `/openapi.json`, generated from the schemas of the routes, and its UI. */
export const openapi = fp<Options>(async (app, { version, public_url }) => {
  for (const schema of [Effect, DryRun, Problem, Event, EventPage, Csv, Ndjson])
    app.addSchema(schema)

  await app.register(swagger, {
    openapi: {
      openapi: '3.0.3',
      info: { ...info, version, description: introduction },
      servers: serversAt(public_url),
      components: { securitySchemes }
    },
    refResolver: {
      buildLocalReference: (json, _base, _fragment, i) =>
        typeof json.$id === 'string' ? json.$id : `def-${i}`
    },
    transformObject: document => {
      if (!('openapiObject' in document)) return document.swaggerObject
      return completeDocument(document.openapiObject as Document, { headers, responses })
    }
  })

  await withCompression(app, scope => {
    serve(scope, '/openapi.json', 'getDocument', () => app.swagger())
    serve(scope, '/openapi-3.1.json', 'getDocument31', () =>
      renderingIn31(app.swagger() as unknown as Document)
    )
  })

  app.get('/', { config: { public: true }, schema: { hide: true } }, (_request, reply) =>
    reply.redirect('/docs')
  )

  await app.register(swaggerDocs)
})

/** Serves a document, which is made when it is first requested. */
function serve(
  app: FastifyInstance,
  path: string,
  operationId: string,
  document: () => object
): void {
  let text: string | undefined
  app.get(
    path,
    { config: { public: true }, schema: { hide: true, operationId } },
    (_request, reply) => {
      text ??= JSON.stringify(document())
      return reply.header('cache-control', 'public, max-age=300').type(json).send(text)
    }
  )
}

import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import type { LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import { createOrganization } from '../../src/bootstrap/organizations.ts'
import { encrypt } from '../../src/core/access/encryption.ts'
import { application, bearer, caller, type App, type Headers } from './app.ts'
import { codeOf } from './second-factor.ts'

interface Schema {
  $ref?: string
  type?: string
  format?: string
  example?: unknown
  enum?: unknown[]
  default?: string | number | boolean
  nullable?: boolean
  properties?: Record<string, Schema>
  items?: Schema
  additionalProperties?: boolean
  oneOf?: Schema[]
  anyOf?: Schema[]
}
export type Content = Record<string, { schema: Schema }>
interface Reference {
  $ref: string
}
interface Parameter {
  $ref?: undefined
  name: string
  in: string
  required?: boolean
  example?: string | number
  schema: Schema
}
interface Operation {
  operationId: string
  summary: string
  description: string
  tags: string[]
  parameters?: (Parameter | Reference)[]
  requestBody?: { content: Content }
  responses: Record<string, { content?: Content }>
}
export interface Refusal {
  content: Record<'application/problem+json', { example: { status: number; code: string } }>
}
export interface Document {
  paths: Record<string, Record<string, Operation>>
  components: {
    schemas: Record<string, Schema>
    responses: Record<string, { content?: Content }>
    parameters: Record<string, Parameter>
  }
}
export interface Request extends Operation {
  method: string
  path: string
}
export const credentials = { username: 'admin@example.com', password: 'correct horse battery' }
/** An application whose first admin is the one of the examples. */
export async function installation(
  t: Test,
  config: Parameters<typeof application>[1] = {}
): Promise<App> {
  const app = await application(t, { signup: 'open', ...config })
  await createOrganization(app.services, 'SmartX', { ...credentials, email: credentials.username })
  return app
}
export const documentOf = (app: App) => app.swagger() as unknown as Document
export const requestsOf = ({ paths }: Document): Request[] =>
  Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) =>
      Object.assign({ method: method.toUpperCase(), path }, operation)
    )
  )
/** What a reference refers to; anything else is itself. */
export const componentOf = <T extends object>(kind: Record<string, T>, value: T | Reference): T =>
  '$ref' in value && value.$ref ? kind[value.$ref.split('/').at(-1)!]! : (value as T)
export const parametersOf = (
  { components }: Document,
  { parameters = [] }: Operation
): Parameter[] => parameters.map(parameter => componentOf(components.parameters, parameter))
const resolved = ({ components }: Document, schema: Schema): Schema =>
  schema.$ref ? components.schemas[schema.$ref.split('/').at(-1)!]! : schema
/**
 * The example that Swagger UI makes of a schema; undefined where it would have to make something
 * up.
 */
export function exampleOf(document: Document, schema: Schema): unknown {
  const {
    example,
    default: fallback,
    enum: values,
    type,
    properties,
    items,
    oneOf,
    anyOf = oneOf
  } = resolved(document, schema)
  if (example !== undefined) return example
  if (fallback !== undefined) return fallback
  if (values) return values[0]
  if (type === 'array') return items && [exampleOf(document, items)]
  if (anyOf) return exampleOf(document, anyOf[0]!)
  if (properties)
    return Object.fromEntries(
      Object.entries(properties)
        // these are optional, and refer to what they are in
        .filter(([name]) => !['included', 'effects', 'problem'].includes(name))
        .map(([name, property]) => [name, exampleOf(document, property)])
    )
  return undefined
}
export const isComplete = (value: unknown): boolean =>
  value !== undefined &&
  (typeof value !== 'object' || value === null || Object.values(value).every(isComplete))
/**
 * Makes before it reads, reads before it changes, changes before it deletes; what ends a session or
 * needs a deleted record comes last.
 */
function turnOf({ method, path, operationId }: Request): number {
  const last = ['changePassword', 'refreshSession', 'logout'].indexOf(operationId)
  if (last >= 0) return 10 + last
  const is_part = /\}\/\w/.test(path) // of a record: made after it, and deleted before it
  if (path.endsWith('/restore') || path.endsWith('/undo')) return 7
  if (method === 'POST') return is_part ? 2 : 1
  if (method === 'PUT' && path.includes('/external/')) return 2 // it creates, too
  return { GET: 3, PUT: 4, PATCH: 4, DELETE: is_part ? 5 : 6 }[method]!
}
interface Session {
  token: string
  refresh_token: string
}

/** What no example can have: tokens and codes that work. */
async function secretsFor(app: App, operationId: string, { refresh_token }: Session) {
  if (operationId === 'refreshSession') return { refresh_token }
  const { pool } = app.services.database
  if (operationId === 'getExportContent') await completeExport(app)
  if (operationId === 'confirmSecondFactor') {
    const secret = 'A'.repeat(32)
    const encrypted = encrypt(app.services.keyFor('second factors'), secret, '1/user/1')
    await pool`update second_factors set pending_secret = ${encrypted}`
    return { code: codeOf(secret) }
  }
  const token = randomBytes(32).toString('base64url')
  const hash = createHash('sha256').update(token).digest('hex')
  const added = {
    acceptInvitation: pool`
      insert into invitations (organization_id, id, email, role, role_ids, token_hash)
      overriding system value
      select organization_id, 1000, 'guest@example.com', name, array[id], ${hash}
      from roles where name = 'user'`,
    // of the user who accepted the invitation
    confirmPasswordReset: pool`insert into password_resets (organization_id, user_id, token_hash)
      select organization_id, id, ${hash} from users where email = 'guest@example.com'`,
    unlinkIdentity: pool`insert into external_identities
        (id, organization_id, provider_id, user_id, subject, email) overriding system value
      select 2, u.organization_id, p.id, u.id, 'x', u.email from users u, identity_providers p
      where u.id = 1 and p.name = 'Example'`,
    retryDelivery: pool`insert into deliveries (organization_id, webhook_id, event_id, position,
        type, subject_type, subject_id, status, payload)
      select organization_id, id, 1, 1, 'contact.created', 'contact', 1, 'failed', '{}'
      from webhooks`,
    cancelJob: pool`insert into jobs (organization_id, kind, payload)
      select id, 'add_members', '{}' from organizations`,
    exchangeSignIn: pool`with provider as (
        insert into identity_providers
          (organization_id, name, issuer, client_id, encrypted_secret, allowed_domains)
        select id, 'Example', 'https://login.example.com', 'x', 'x', '{example.com}'
        from organizations returning organization_id, id
      )
      insert into sign_in_codes (hash, organization_id, provider_id, user_id, code_challenge)
      select ${hash}, organization_id, id, 1, 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
      from provider`
  }[operationId]
  if (!added) return undefined
  await added
  return operationId === 'exchangeSignIn' ? { sign_in_code: token } : { token }
}

/** Has the export of the examples have its file, which no process makes. */
async function completeExport({ services }: App): Promise<void> {
  const { name, bytes, sha256 } = await services.files.write(1, 'ndjson', Readable.from(['{}\n']))
  await services.database.pool`update exports set is_open = false, file = ${name}, rows = 1,
    bytes = ${bytes}, sha256 = ${sha256}, rights = '[]' where id = 1`
}

type Send = (headers?: Headers) => Promise<LightMyRequestResponse>

/**
 * Sends the example of every operation. `around` may do something before and after a request, and
 * send it with further headers.
 */
export async function sendExamples(
  t: Test,
  app: App,
  around: (request: Request, send: Send) => Promise<LightMyRequestResponse> = async (_, send) =>
    await send()
) {
  const document = documentOf(app)
  let session = (await caller(app)('POST /api/auth/login', credentials)).json<Session>()

  for (const request of requestsOf(document).toSorted((a, b) => turnOf(a) - turnOf(b))) {
    const { method, path, requestBody } = request
    const parameters = parametersOf(document, request)
    const url = path.replaceAll(/\{(\w+)\}/g, (_, name) =>
      String(exampleOf(document, parameters.find(parameter => parameter.name === name)!.schema))
    )
    const query = new URLSearchParams(
      parameters.flatMap(({ name, in: place, required, example, schema }) => {
        const filledIn = schema.default ?? (required ? example : undefined)
        return place === 'query' && filledIn !== undefined
          ? [[name, `${filledIn}`] as [string, string]]
          : []
      })
    )
    if (request.operationId === 'streamEvents') query.set('duration', '0')
    const asked = `${method} ${url}${query.size > 0 ? `?${query.toString()}` : ''}`
    const [type, content] = Object.entries(requestBody?.content ?? {})[0] ?? []
    const example = content && (exampleOf(document, content.schema) as Record<string, string>)
    const isForm = type === 'application/x-www-form-urlencoded'
    const plain = isForm ? Buffer.from(new URLSearchParams(example).toString()) : example
    const secrets = await secretsFor(app, request.operationId, session)
    const body = secrets && example ? { ...example, ...secrets } : plain
    const call = caller(app, bearer(session.token))
    const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type }
    const answer = await around(
      request,
      async (more = {}) => await call(asked, body, { ...headers, ...more })
    )
    const isGood = answer.statusCode >= 200 && answer.statusCode <= 302 // pages lead elsewhere
    t.ok(isGood, `${asked} → ${answer.statusCode}`, { body: answer.body })
    if (request.operationId === 'changePassword') session = answer.json<Session>()
  }
}

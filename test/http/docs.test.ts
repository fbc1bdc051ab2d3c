import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { createOrganization } from '../../src/bootstrap/organizations.ts'
import { encrypt } from '../../src/core/access/encryption.ts'
import { application, bearer, caller, longTimeouts, type App } from '../support/app.ts'
import { codeOf } from '../support/second-factor.ts'

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
type Content = Record<string, { schema: Schema }>
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
interface Refusal {
  content: Record<'application/problem+json', { example: { status: number; code: string } }>
}
interface Document {
  paths: Record<string, Record<string, Operation>>
  components: {
    schemas: Record<string, Schema>
    responses: Record<string, { content?: Content }>
    parameters: Record<string, Parameter>
  }
}
interface Request extends Operation {
  method: string
  path: string
}
const credentials = { username: 'admin@example.com', password: 'correct horse battery' }
const browser = '/usr/bin/chromium'
/** An application whose first admin is the one of the examples. */
async function installation(t: Test, config: Parameters<typeof application>[1] = {}): Promise<App> {
  const app = await application(t, { signup: 'open', ...config })
  await createOrganization(app.services, 'SmartX', { ...credentials, email: credentials.username })
  return app
}
const documentOf = (app: App) => app.swagger() as unknown as Document
const requestsOf = ({ paths }: Document): Request[] =>
  Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) =>
      Object.assign({ method: method.toUpperCase(), path }, operation)
    )
  )
/** What a reference refers to; anything else is itself. */
const componentOf = <T extends object>(kind: Record<string, T>, value: T | Reference): T =>
  '$ref' in value && value.$ref ? kind[value.$ref.split('/').at(-1)!]! : (value as T)
const parametersOf = ({ components }: Document, { parameters = [] }: Operation): Parameter[] =>
  parameters.map(parameter => componentOf(components.parameters, parameter))
const resolved = ({ components }: Document, schema: Schema): Schema =>
  schema.$ref ? components.schemas[schema.$ref.split('/').at(-1)!]! : schema
/**
 * The example that Swagger UI makes of a schema; undefined where it would have to make something
 * up.
 */
function exampleOf(document: Document, schema: Schema): unknown {
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
        // related records are optional, and have related records themselves
        .filter(([name]) => name !== 'included')
        .map(([name, property]) => [name, exampleOf(document, property)])
    )
  return undefined
}
const isComplete = (value: unknown): boolean =>
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
  if (method === 'POST' && path.endsWith('/restore')) return 7
  if (method === 'POST') return is_part ? 2 : 1
  if (method === 'PUT' && path.includes('/external/')) return 2 // it creates, too
  return { GET: 3, PUT: 4, PATCH: 4, DELETE: is_part ? 5 : 6 }[method]!
}
/** Executes an operation with what Swagger UI fills in. Returns the status it shows. */
async function tryOut(page: Page, name: string): Promise<string> {
  const operation = page.locator(`#operations-${name}`)
  await operation.locator('.opblock-summary-control').click()
  await operation.locator('.execute').click()
  return (
    await operation.locator('.live-responses-table tbody .response-col_status').first().innerText()
  ).trim()
}

t.test('openapi/openapi.json is the served document', async t => {
  const app = await application(t)
  const served = await app.inject('/openapi.json')
  t.same(served.json(), JSON.parse(readFileSync('openapi/openapi.json', 'utf8')))
})

t.test(
  'every operation has a name, a description, and examples of its request and response',
  async t => {
    const document = documentOf(await application(t))
    const requests = requestsOf(document)
    t.equal(
      new Set(requests.map(({ operationId }) => operationId)).size,
      requests.length,
      'names are unique'
    )
    for (const request of requests) {
      const { method, path, summary, description, tags, requestBody, responses } = request
      const contents = [
        requestBody,
        ...Object.entries(responses)
          .filter(([status]) => status.startsWith('2'))
          .map(([, answer]) =>
            componentOf<{ content?: Content }>(document.components.responses, answer)
          )
      ].flatMap(message => Object.values(message?.content ?? {}))
      t.ok(
        summary && description && tags.length === 1,
        `${method} ${path} has a summary, a description and a tag`
      )
      for (const { schema } of contents) {
        const example = exampleOf(document, schema)
        t.ok(isComplete(example), `${method} ${path} has a whole example`, { example })
      }
      for (const { name, in: place, schema } of parametersOf(document, request))
        if (place === 'path')
          t.ok(
            isComplete(exampleOf(document, schema)),
            `${method} ${path} has an example of ${name}`
          )
    }
  }
)

t.test('every kind of error has its own example', async t => {
  const { paths, components } = documentOf(await application(t))
  const refusals = Object.entries(components.responses).filter(([status]) => Number(status) >= 400)
  const examples = refusals.map(([name, { content }]) => ({
    name,
    ...(content as unknown as Refusal['content'])['application/problem+json'].example
  }))
  t.equal(new Set(examples.map(({ code }) => code)).size, examples.length)
  for (const operation of Object.values(paths).flatMap(operations => Object.values(operations))) {
    for (const [status, answer] of Object.entries(operation.responses) as [
      string,
      { $ref?: string }
    ][]) {
      if (answer.$ref && Number(status) >= 400)
        t.equal(
          examples.find(({ name }) => answer.$ref!.endsWith(`/${name}`))?.status,
          Number(status)
        )
    }
  }
})

t.test(
  'no field has a default, which generated types would require; descriptions have it',
  async t => {
    const { schemas } = documentOf(await application(t)).components
    t.same(
      Object.values(schemas)
        .flatMap(({ properties = {} }) => Object.values(properties))
        .filter(property => 'default' in property),
      []
    )
    t.match(schemas.NewLead!.properties!.status, {
      description: 'Status. Default: new.'
    })
    t.match(schemas.Lead!.properties!.status, { description: 'Status.' })
  }
)

interface Session {
  token: string
  refresh_token: string
}

/** What no example can have: tokens and codes that work. */
async function secretsFor(app: App, operationId: string, { refresh_token }: Session) {
  if (operationId === 'refreshSession') return { refresh_token }
  const { pool } = app.services.database
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

/** Sends the example of every operation. `around` may do something before and after a request. */
async function sendExamples(
  t: Test,
  app: App,
  around: <T>(request: Request, send: () => Promise<T>) => Promise<T> = async (_, send) =>
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
    const asked = `${method} ${url}${query.size > 0 ? `?${query.toString()}` : ''}`
    const [type, content] = Object.entries(requestBody?.content ?? {})[0] ?? []
    const example = content && (exampleOf(document, content.schema) as Record<string, string>)
    const isForm = type === 'application/x-www-form-urlencoded'
    const plain = isForm ? Buffer.from(new URLSearchParams(example).toString()) : example
    const secrets = await secretsFor(app, request.operationId, session)
    const body = secrets && example ? { ...example, ...secrets } : plain
    const call = caller(app, bearer(session.token))
    const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type }
    const answer = await around(request, async () => await call(asked, body, headers))
    const isGood = answer.statusCode >= 200 && answer.statusCode <= 302 // pages lead elsewhere
    t.ok(isGood, `${asked} → ${answer.statusCode}`, { body: answer.body })
    if (request.operationId === 'changePassword') session = answer.json<Session>()
  }
}

t.test('every operation works with its examples', async t => {
  await sendExamples(t, await installation(t))
})

t.test('only lists and reports wait for the slow statements of their organization', async t => {
  const timeouts = { ...longTimeouts, turn: 100 }
  const app = await installation(t, { database: { strict_locks: true, timeouts } })
  const { turns, listReads } = app.services.database
  const isSlow = ({ method, path }: Request) =>
    method === 'GET' && !/^\/(api\/auth\/.*|api\/\w+\/\{id\})$/.test(path)
  await sendExamples(t, app, async (request, send) => {
    if (isSlow(request)) return await send()
    listReads.markSlow(1)
    const ends = await Promise.all([1, 2, 3].map(async () => await turns.slow.begin(1)))
    try {
      return await send()
    } finally {
      for (const end of ends) end()
    }
  })
})

t.test(
  'a partner logs in and tries calls in Swagger UI, which connects only to this server',
  { skip: existsSync(browser) ? false : `${browser} is not installed` },
  async t => {
    const app = await installation(t)
    const origin = await app.listen({ port: 0, host: '127.0.0.1' })
    const chrome = await chromium.launch({
      executablePath: browser,
      args: [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync'
      ]
    })
    t.teardown(async () => {
      await chrome.close()
    })
    const page = await chrome.newPage()
    page.setDefaultTimeout(15_000)
    const faults: string[] = []
    page.on('console', message => {
      if (['error', 'warning'].includes(message.type())) faults.push(message.text())
    })
    page.on('pageerror', error => {
      faults.push(error.message)
    })
    page.on('request', request => {
      if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith('data:'))
        faults.push(`asks ${request.url()}`)
    })
    await page.addInitScript(
      'addEventListener("securitypolicyviolation", event => { console.error("CSP", ' +
        'event.violatedDirective, event.blockedURI) })'
    )

    await page.goto(origin)
    await page.locator('.auth-wrapper > .authorize').click()
    await page.locator('#oauth_username').fill(credentials.username)
    await page.locator('#oauth_password').fill(credentials.password)
    await page
      .locator('.auth-container', { has: page.locator('#oauth_username') })
      .locator('button.authorize')
      .click()
    await page.locator('.auth-container').getByText('Logout').waitFor()
    await page.locator('.modal-ux .btn-done').first().click()

    await page.locator('#operations-tag-contacts').click()
    t.equal(await tryOut(page, 'contacts-createContact'), '201')
    t.equal(await tryOut(page, 'contacts-getContact'), '200')
    t.equal(await tryOut(page, 'contacts-updateContact'), '200')
    const listed = page.waitForRequest(request => request.url().includes('/api/contacts?'))
    t.equal(await tryOut(page, 'contacts-listContacts'), '200')
    t.equal(
      (await listed).url(),
      `${origin}/api/contacts?limit=50&deleted=false&bom=false`,
      'no parameter has a value but its default'
    )
    t.equal(await tryOut(page, 'contacts-deleteContact'), '204')
    const refusal = page.locator('#operations-contacts-createContact [data-code="409"]')
    t.notMatch(await refusal.innerText(), 'duplicate', 'an error is one line')
    await refusal.locator('.response-col_status').click()
    t.match(await refusal.innerText(), '"code": "duplicate"', 'before it is expanded')
    await page.locator('#operations-tag-auth').click()
    t.equal(await tryOut(page, 'auth-createToken'), '200', 'also as a form')
    t.same(faults, [])
  }
)

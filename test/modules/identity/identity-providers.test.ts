// The providers of an organization: who sets them up, and what is never shown.
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import t from 'tap'
import { application, organization } from '../../support/app.ts'
import {
  browser,
  clientSecret,
  parametersOf,
  provider,
  settings,
  setUp
} from '../../support/provider.ts'

const log: string[] = []
const logger = pino({ level: 'trace' }, { write: (line: string) => void log.push(line) })
const app = await application(t, settings, logger)
const sql = app.services.database.pool
const idp = await provider(t)
const path = '/api/identity-providers'
const body = {
  name: 'Okta',
  issuer: 'https://login.example.com',
  client_id: 'smartx',
  client_secret: clientSecret,
  allowed_domains: ['example.com']
}

t.test('a client secret is shown nowhere, and stored encrypted', async t => {
  const { call, slug } = await organization(app)
  const id = await setUp(call, idp, { name: 'Okta' })
  await call(`PATCH ${path}/${id}`, { client_secret: `${clientSecret} 2` })
  idp.claims = { sub: 'x', email: 'x@example.com', email_verified: true }
  await browser(app).signIn(slug)
  t.equal(idp.requests.at(-1)!.body.client_secret, `${clientSecret} 2`, 'but to the provider')
  const shown = await Promise.all([
    ...[`${path}/${id}`, path, `${path}/${id}/history`, '/api/auth/me'].map(
      async url => (await call(`GET ${url}`)).body
    ),
    call(`POST ${path}/${id}/test`).then(answer => answer.body),
    call(`POST ${path}`, { ...body, client_secret: clientSecret, issuer: 'x' }).then(a => a.body),
    call(`POST ${path}`, { ...body, client_secret: clientSecret, name: 'okta' }).then(a => a.body),
    sql`select * from events`.then(rows => JSON.stringify(rows)),
    sql`select * from identity_providers`.then(rows => JSON.stringify(rows))
  ])
  for (const text of [...shown, ...log]) t.notOk(text.includes('zqsecret'), text.slice(0, 80))
  const [row] = await sql<{ encrypted_secret: string }[]>`
    select encrypted_secret from identity_providers where id = ${id}`
  t.match(row!.encrypted_secret, /^[\w-]{60,}$/)
  for (const text of [...shown.slice(0, -1), ...log])
    t.notOk(text.includes(row!.encrypted_secret), text.slice(0, 80))
  const { data } = (await call(`GET ${path}/${id}/history`)).json()
  t.match(data, [{ changed: ['encrypted_secret'] }, { changed: [] }], 'its change is an event')
})

t.test('the secret goes to the issuer that it was given for, and to no other', async t => {
  const { call, slug } = await organization(app)
  const id = await setUp(call, idp)
  const evil = await provider(t)
  for (const changes of [{ issuer: evil.issuer }, { client_id: 'another' }])
    t.match((await call(`PATCH ${path}/${id}`, changes)).json(), {
      status: 422,
      errors: [{ pointer: '/client_secret', params: { rule: 'secret_required' } }]
    })
  // someone who can write to the table
  await sql`update identity_providers set issuer = ${evil.issuer} where id = ${id}`
  const started = parametersOf(await browser(app).start(slug))
  t.equal(started.error, 'provider_unavailable', 'the secret is not even decrypted')
})

t.test('another issuer unlinks the users', async t => {
  const { call, slug } = await organization(app)
  const id = await setUp(call, idp)
  idp.claims = { sub: '1', email: 'one@example.com', email_verified: true }
  const { user } = await browser(app).signIn(slug)
  const next = await provider(t)
  const moved = { issuer: next.issuer, client_secret: clientSecret }
  t.equal((await call(`PATCH ${path}/${id}`, moved)).statusCode, 200)
  t.same((await call(`GET /api/users/${user.id}/identities`)).json().data, [])
  next.claims = { sub: '1', email: 'two@example.com', email_verified: true }
  t.not((await browser(app).signIn(slug)).user.id, user.id, 'a subject is that of its issuer')
})

t.test('a change of the issuer during a sign-in refuses it', async t => {
  const { call, slug } = await organization(app)
  const id = await setUp(call, idp)
  const page = browser(app)
  const callback = await page.visit(slug)
  const sent = idp.requests.length
  const next = await provider(t)
  await call(`PATCH ${path}/${id}`, { issuer: next.issuer, client_secret: clientSecret })
  t.equal((await page.get(callback)).statusCode, 400)
  t.same([idp.requests.length, next.requests.length], [sent, 0], 'neither is sent the code')
})

t.test('a one-time code is worth nothing once the issuer has changed', async t => {
  const { call, slug } = await organization(app)
  const id = await setUp(call, idp)
  idp.claims = { sub: '3', email: 'three@example.com', email_verified: true }
  const page = browser(app)
  const { sign_in_code } = await page.arrive(slug)
  const next = await provider(t)
  await call(`PATCH ${path}/${id}`, { issuer: next.issuer, client_secret: clientSecret })
  const exchanged = await page.exchange(sign_in_code!)
  t.match(exchanged.json(), { status: 422, errors: [{ pointer: '/sign_in_code' }] })
})

t.test('those with all permissions set up providers, nobody else', async t => {
  const { call, user } = await organization(app)
  const id = await setUp(call, idp)
  for (const role of ['viewer', 'partner', 'manager', 'user']) {
    const one = await user(role)
    for (const request of [`GET ${path}`, `GET ${path}/${id}`, `POST ${path}/${id}/test`])
      t.equal((await one.call(request)).statusCode, 403, `${request} as ${role}`)
    t.equal((await one.call(`POST ${path}`, body)).statusCode, 403, role)
  }
  // who may set up a provider, but not everything else, would become an admin by it
  const grants = [
    { resource: 'administration', actions: ['read', 'create', 'update', 'delete'], reach: 'all' }
  ]
  await call('POST /api/roles', { name: 'halfadmin', grants })
  const half = await user('halfadmin')
  t.equal((await half.call(`GET ${path}/${id}`)).statusCode, 200)
  t.equal((await half.call(`POST ${path}`, body)).statusCode, 403)
  t.equal((await half.call(`PATCH ${path}/${id}`, { enforce: false })).statusCode, 403)
  t.equal((await half.call(`DELETE ${path}/${id}`)).statusCode, 403)
  await call(`DELETE ${path}/${id}`)
  t.equal((await half.call(`POST ${path}/${id}/restore`)).statusCode, 403)
  const token = { name: 'x', scopes: ['identity-providers:create'], risk: 'destructive' }
  t.equal((await call('POST /api/api-tokens', token)).statusCode, 422, 'no API token does')
})

t.test('what cannot be right is refused', async t => {
  const { call } = await organization(app)
  for (const [fields, status, pointer] of [
    [{ issuer: 'https://login.example.com/?a=b' }, 400, '/issuer'],
    [{ issuer: 'https://a:b@login.example.com' }, 400, '/issuer'],
    [{ issuer: 'ftp://login.example.com' }, 400, '/issuer'],
    [{ issuer: 'https://10.0.0.1' }, 422, '/issuer'],
    [{ issuer: 'https://[::ffff:10.0.0.1]' }, 422, '/issuer'],
    [{ issuer: 'http://8.8.8.8' }, 422, '/issuer'],
    [{ issuer: 'https://exa%mple' }, 422, '/issuer'],
    [{ allowed_domains: [] }, 400, '/allowed_domains'],
    [{ allowed_domains: ['*.example.com'] }, 400, '/allowed_domains/0'],
    [{ allowed_domains: ['Example.com'] }, 400, '/allowed_domains/0'],
    [{ default_role_id: 999_999 }, 422, '/default_role_id'],
    [{ role_mapping: [{ value: 'x', role_id: 999_999 }] }, 422, '/role_mapping/0/role_id'],
    [{ client_secret: undefined }, 400, '/client_secret'],
    [{ scopes: ['a b'] }, 400, '/scopes/0']
  ] as const) {
    const refused = await call(`POST ${path}`, { ...body, ...fields })
    t.match(refused.json(), { status, errors: [{ pointer }] }, JSON.stringify(fields))
  }
  t.equal((await call(`POST ${path}`, body)).statusCode, 201)
  t.equal((await call(`POST ${path}`, { ...body, name: 'OKTA' })).statusCode, 409)
})

t.test('a role that a provider gives is not deleted', async t => {
  const { call } = await organization(app)
  const role = async (name: string) =>
    (await call('POST /api/roles', { name, grants: [] })).json().id as number
  const [mapped, initial] = [await role('Mapped'), await role('Initial')]
  const role_mapping = [{ value: 'x', role_id: mapped }]
  const id = await setUp(call, idp, { role_mapping, default_role_id: initial })
  for (const one of [mapped, initial])
    t.match((await call(`DELETE /api/roles/${one}`)).json(), { status: 409, detail: /Provider/ })
  await call(`DELETE ${path}/${id}`)
  for (const one of [mapped, initial])
    t.equal((await call(`DELETE /api/roles/${one}`)).statusCode, 204)
  for (const one of [initial, mapped]) {
    t.equal((await call(`POST ${path}/${id}/restore`)).statusCode, 409)
    await call(`POST /api/roles/${one}/restore`)
  }
  t.equal((await call(`POST ${path}/${id}/restore`)).statusCode, 200)
})

t.test('a test says whether a provider can be used, and what to register there', async t => {
  const { call, slug } = await organization(app)
  const id = await setUp(call, idp)
  const redirect_uri = `http://127.0.0.1:3000/api/auth/sign-in/${slug}/callback/${id}`
  const check = async (issuer: string, on = call) => {
    await on(`PATCH ${path}/${id}`, { issuer, client_secret: clientSecret })
    return (await on(`POST ${path}/${id}/test`)).json()
  }
  t.same(await check(idp.issuer), { is_working: true, fault: null, redirect_uri })
  for (const [issuer, fault] of [
    [`${idp.issuer}/elsewhere`, /status/],
    ['http://localhost:1', /ECONNREFUSED|connect/],
    [await publishing(t, { issuer: 'https://login.example.com' }), /issuer/],
    [await publishing(t, {}), /authorization_endpoint/],
    [await publishing(t, { authorization_endpoint: 'javascript:alert(1)' }), /token_endpoint|HTTP/]
  ] as const)
    t.match(await check(issuer), { is_working: false, fault }, issuer)
})

/** The issuer of a provider that publishes nothing but this, until the end of the test. */
async function publishing(test: typeof t | Parameters<typeof provider>[0], metadata: object) {
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ issuer, ...metadata }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  test.teardown(() => void server.close())
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return issuer
}

t.test('metadata leads into no private network', async t => {
  const { call, slug } = await organization(app)
  const issuer = await publishing(t, {
    authorization_endpoint: 'https://login.example.com/authorize',
    token_endpoint: 'http://10.255.255.1/token',
    jwks_uri: 'http://169.254.169.254/keys'
  })
  await setUp(call, { ...idp, issuer })
  const page = browser(app)
  const { headers } = await page.start(slug)
  const asked = new URL(String(headers.location)).searchParams
  const callback = new URL(asked.get('redirect_uri')!).pathname
  const arrived = await page.get(`${callback}?code=x&state=${asked.get('state')!}`)
  t.equal(parametersOf(arrived).error, 'provider_unavailable')
  t.match(
    log.findLast(line => line.includes('refused')),
    /OUTBOUND_NETWORKS/
  )

  const closed = await application(t, { ...settings, outbound_networks: [] })
  const one = await organization(closed)
  t.equal((await one.call(`POST ${path}`, { ...body, issuer })).statusCode, 422, 'without TLS')
  const named = await setUp(one.call, { ...idp, issuer: 'https://localhost:8443' })
  t.match((await one.call(`POST ${path}/${named}/test`)).json(), {
    fault: /no address that is public/
  })
  t.match(parametersOf(await browser(closed).start(one.slug)), { error: 'provider_unavailable' })
})

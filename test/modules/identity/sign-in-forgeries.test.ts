// What a sign-in by a provider refuses: forged, replayed and misdirected answers.
import { createHash, createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { application, organization } from '../../support/app.ts'
import {
  browser,
  clientSecret,
  frontEnd,
  parametersOf,
  provider,
  settings,
  setUp
} from '../../support/provider.ts'

const log: string[] = []
const logger = pino({ level: 'debug' }, { write: (line: string) => void log.push(line) })
const app = await application(t, settings, logger)
const sql = app.services.database.pool
const idp = await provider(t)
const { call, slug, id: organization_id } = await organization(app)
const provider_id = await setUp(call, idp)

t.beforeEach(() => {
  idp.claims = { sub: 'maria', email: 'maria@example.com', email_verified: true }
  idp.forge = undefined
  idp.replace = undefined
})
const hashOf = (text: string) => createHash('sha256').update(text).digest('hex')
const errorOf = async () => (await browser(app).arrive(slug)).error
const assertNobody = async (test: Test, what: string) =>
  test.equal(
    (
      await sql`select from sessions s join users u on u.id = s.user_id
      where u.email = 'maria@example.com'`
    ).length,
    0,
    `nobody is logged in by ${what}`
  )

t.test('an ID token must be for this client, this sign-in and this moment', async t => {
  const now = Math.floor(Date.now() / 1000)
  for (const [what, claims] of Object.entries({
    'another nonce': { nonce: 'x'.repeat(43) },
    'no nonce': { nonce: undefined },
    'another audience': { aud: 'another client' },
    'several audiences without a party': { aud: ['another client', 'x'] },
    'another issuer': { iss: 'https://login.example.com' },
    'an expired token': { exp: now - 120, iat: now - 600 },
    'no expiry': { exp: undefined },
    'no subject': { sub: undefined },
    'a token of the future': { nbf: now + 600 }
  })) {
    idp.forge = ({ payload }) => void Object.assign(payload, claims)
    t.equal(await errorOf(), 'invalid_response', what)
  }
  await assertNobody(t, 'forged claims')
})

type Part = Record<string, unknown>
const encoded = (part: Part) => Buffer.from(JSON.stringify(part)).toString('base64url')
const partsOf = (token: string): Part[] =>
  token
    .split('.')
    .slice(0, 2)
    .map(part => JSON.parse(Buffer.from(part, 'base64url').toString()) as Part)

t.test('an ID token must be signed by a key of the provider', async t => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const signed = (header: Part, payload: Part) => {
    const text = `${encoded(header)}.${encoded(payload)}`
    return `${text}.${sign('sha256', Buffer.from(text), privateKey).toString('base64url')}`
  }
  const byMac = (secret: string) => (token: string) => {
    const [header, payload] = partsOf(token)
    const text = `${encoded({ ...header, alg: 'HS256' })}.${encoded(payload!)}`
    return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
  }
  for (const [what, replace] of Object.entries({
    'another key with its name': token => signed(partsOf(token)[0]!, partsOf(token)[1]!),
    'an unknown key': token => signed({ ...partsOf(token)[0], kid: 'x' }, partsOf(token)[1]!),
    'a key in the token': token =>
      signed(
        { ...partsOf(token)[0], jwk: publicKey.export({ format: 'jwk' }) },
        partsOf(token)[1]!
      ),
    'another payload': token => {
      const [header, , signature] = token.split('.')
      return `${header}.${encoded({ ...partsOf(token)[1], sub: 'admin' })}.${signature}`
    },
    'no signature': token => `${token.split('.').slice(0, 2).join('.')}.`,
    'the algorithm none': token => `${encoded({ alg: 'none' })}.${encoded(partsOf(token)[1]!)}.`,
    'the client secret': byMac(clientSecret),
    'the public key as a secret': byMac(JSON.stringify(idp.server.issuer.keys.toJSON()[0])),
    'no token at all': () => ''
  } satisfies Record<string, (token: string) => string>)) {
    idp.replace = replace
    t.equal(await errorOf(), 'invalid_response', what)
  }
  await assertNobody(t, 'forged signatures')
})

t.test('a sign-in ends once, in the browser that began it', async t => {
  const page = browser(app)
  const callback = await page.visit(slug)
  const other = browser(app)
  await other.start(slug)
  const refused = { status: 400, errors: [{ parameter: 'state' }] }
  t.match((await other.get(callback)).json(), refused, 'another browser')
  t.match((await browser(app).get(callback)).json(), refused, 'a browser without a cookie')
  const stateless = await page.get(callback.replace(/state=[^&]*/, 'state=x'))
  t.match(stateless.json(), refused, 'another state')
  t.match((await page.get(callback.replace(/[?&]state=[^&]*/, '?x=1'))).json(), refused)
  t.ok(parametersOf(await page.get(callback)).sign_in_code, 'none of which has ended it')
  t.match((await page.get(callback)).json(), refused, 'the second time')
  const late = await page.visit(slug)
  await sql`update sign_ins set expires_at = now() where organization_id = ${organization_id}`
  t.match((await page.get(late)).json(), refused, 'after ten minutes')
})

t.test('two tabs of a browser do not interfere', async t => {
  const page = browser(app)
  const [first, second] = [await page.visit(slug), await page.visit(slug)]
  t.ok(parametersOf(await page.get(first)).sign_in_code)
  t.ok(parametersOf(await page.get(second)).sign_in_code)
})

t.test('a code of the provider is not accepted twice, nor in another sign-in', async t => {
  const [page, victim] = [browser(app), browser(app)]
  const codeIn = (callback: string) => /code=([^&]*)/.exec(callback)![1]!
  const used = await page.visit(slug)
  await page.get(used)
  const next = await page.visit(slug)
  const replayed = await page.get(next.replace(codeIn(next), codeIn(used)))
  t.match(parametersOf(replayed), { error: 'provider_error' })
  const stolen = codeIn(await victim.visit(slug))
  const own = await page.visit(slug)
  const injected = parametersOf(await page.get(own.replace(codeIn(own), stolen)))
  t.match(injected, { error: 'provider_error' }, 'PKCE binds it')
  const last = log.findLast(line => line.includes('sign-in refused'))
  t.match(JSON.parse(last!), { error: 'provider_error', reason: /invalid_request/ })
})

t.test('the answer of one provider is never sent to another', async t => {
  const evil = await provider(t)
  const other = await setUp(call, evil, { name: 'Other' })
  const page = browser(app)
  const callback = await page.visit(slug, { provider_id: String(other) })
  const asked = [idp.requests.length, evil.requests.length]
  const mixed = await page.get(callback.replace(`/callback/${other}`, `/callback/${provider_id}`))
  t.match(mixed.json(), { status: 400, errors: [{ parameter: 'state' }] })
  const named = await page.get(`${callback}&iss=${encodeURIComponent(idp.issuer)}`)
  t.match(parametersOf(named), { error: 'invalid_response' }, 'an issuer of RFC 9207')
  t.same([idp.requests.length, evil.requests.length], asked, 'nobody was sent a code')
})

t.test('errors of the provider come to the front end, without its text', async t => {
  for (const [error, expected] of [
    ['access_denied', 'access_denied'],
    ['server_error', 'provider_error'],
    ['<script>', 'provider_error']
  ] as const) {
    const page = browser(app)
    const callback = await page.visit(slug)
    const answer = callback.replace(/code=[^&]*/, `error=${encodeURIComponent(error)}`)
    const parameters = parametersOf(await page.get(`${answer}&error_description=zqtext`))
    t.same(parameters, { tab: '1', error: expected })
  }
})

t.test('users return to front ends of the operator only', async t => {
  for (const return_to of [
    'https://evil.example/',
    `${frontEnd}.evil.example/`,
    `${frontEnd}@evil.example/`,
    `https://user:password@app.example.com/`,
    'http://app.example.com/',
    `${frontEnd}:444/`,
    '//evil.example/',
    '/\\evil.example',
    'https:evil.example',
    'javascript:alert(1)',
    `data:text/html,${frontEnd}`,
    `blob:${frontEnd}/x`,
    ''
  ]) {
    const { statusCode, headers, body } = await browser(app, return_to).start(slug)
    t.match([statusCode, headers.location], [400, undefined], return_to)
    t.match(JSON.parse(body), { errors: [{ parameter: 'return_to' }] })
  }
  const page = browser(app, `${frontEnd}/#/in?sign_in_code=x`)
  const { headers } = await page.get(await page.visit(slug))
  t.match(headers.location, /^https:\/\/app\.example\.com\/\?sign_in_code=[\w-]{43}#\/in/)
})

t.test('a one-time code works once, for a minute, and for who began the sign-in', async t => {
  const page = browser(app)
  const { sign_in_code } = await page.arrive(slug)
  const unusable = { status: 422, errors: [{ pointer: '/sign_in_code', code: 'rule_broken' }] }
  const stolen = await page.exchange(sign_in_code!, browser(app).verifier)
  t.match(stolen.json(), unusable, 'without the verifier')
  const challenge = createHash('sha256').update(page.verifier).digest('base64url')
  t.match((await page.exchange(sign_in_code!, challenge)).json(), unusable, 'with its hash')
  const answers = await Promise.all(
    Array.from({ length: 12 }, async () => await page.exchange(sign_in_code!))
  )
  const statuses = answers.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b)
  t.same(statuses, [200, ...Array.from({ length: 11 }, () => 422)], 'exactly one wins')
  t.match((await page.exchange('x'.repeat(43))).json(), unusable)

  const late = (await page.arrive(slug)).sign_in_code!
  const [code] = await sql<{ lifetime: number }[]>`
    select extract(epoch from expires_at - now())::int as lifetime
    from sign_in_codes where hash = ${hashOf(late)}`
  t.ok(code!.lifetime > 30 && code!.lifetime <= 60)
  await sql`update sign_in_codes set expires_at = now() where hash = ${hashOf(late)}`
  t.match((await page.exchange(late)).json(), unusable, 'after a minute')
})

t.test('what is disabled meanwhile is not signed in by', async t => {
  const page = browser(app)
  const begun = async () => await page.visit(slug)
  const change = async (changes: object) =>
    t.equal((await call(`PATCH /api/identity-providers/${provider_id}`, changes)).statusCode, 200)
  const first = await begun()
  await change({ is_active: false })
  t.match(parametersOf(await page.get(first)), { error: 'provider_changed' })
  t.equal((await page.start(slug, { provider_id: String(provider_id) })).statusCode, 404)
  await change({ is_active: true })
  const second = await begun()
  await call(`DELETE /api/identity-providers/${provider_id}`)
  t.match(parametersOf(await page.get(second)), { error: 'provider_changed' }, 'deleted')
  await call(`POST /api/identity-providers/${provider_id}/restore`)

  const unusable = { status: 422, errors: [{ pointer: '/sign_in_code' }] }
  const code = (await page.arrive(slug)).sign_in_code!
  await change({ is_active: false })
  t.match((await page.exchange(code)).json(), unusable, 'before the exchange')
  await change({ is_active: true })
  const { id } = (await call('GET /api/users?email=maria@example.com')).json().data[0]
  const next = (await page.arrive(slug)).sign_in_code!
  await call(`PATCH /api/users/${id}`, { status: 'disabled' })
  t.match((await page.exchange(next)).json(), unusable, 'nor as a user who was disabled')
  await call(`PATCH /api/users/${id}`, { status: 'active' })
})

t.test('the cookie is for these pages, and for no script', async t => {
  const { headers } = await browser(app).start(slug)
  const shape =
    /^smartx_sign_in=[\w-]{43}; Path=\/api\/auth\/sign-in; Max-Age=600; HttpOnly; SameSite=Lax$/
  t.match(headers['set-cookie'], shape)
  const behind = await application(t, { ...settings, public_url: 'https://crm.example.com/crm/' })
  const one = await organization(behind)
  await setUp(one.call, idp)
  const started = await browser(behind).start(one.slug)
  t.match(started.headers['set-cookie'], /; Path=\/crm\/api\/auth\/sign-in; .*; Secure$/)
  const asked = new URL(String(started.headers.location)).searchParams
  t.match(asked.get('redirect_uri'), /^https:\/\/crm\.example\.com\/crm\/api\/auth\/sign-in\//)
  t.match(
    [asked.get('code_challenge_method'), asked.get('scope')],
    ['S256', 'openid email profile']
  )
  t.not(asked.get('nonce'), asked.get('state'))
})

t.test('neither logs nor tables have what opens a session', async t => {
  const page = browser(app)
  const started = await page.start(slug)
  const { state, nonce } = Object.fromEntries(
    new URL(String(started.headers.location)).searchParams
  )
  const { sign_in_code } = await page.arrive(slug)
  const rows = JSON.stringify([
    await sql`select * from sign_ins`,
    await sql`select * from sign_in_codes`
  ])
  t.match(rows, hashOf(sign_in_code!))
  for (const secret of [
    state!,
    nonce!,
    sign_in_code!,
    page.cookie!.split('=')[1]!,
    page.verifier
  ]) {
    t.notOk(rows.includes(secret))
    t.notOk(log.join().includes(secret))
  }
  t.ok(
    log.some(line => line.includes('sign-in refused')),
    'failures are logged'
  )
  t.notOk(log.join().includes(clientSecret))
})

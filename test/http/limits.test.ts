import t from 'tap'
import { application, caller, organization, type Call } from '../support/app.ts'
import { assertHeaders } from './headers.ts'

const app = await application(t)
const { call } = await organization(app)

t.test('rate limits', async t => {
  const limited = await application(t, { rate_limit_max: 5 })
  const anybody = caller(limited)
  const statuses: number[] = []
  for (let i = 0; i < 7; i++) {
    const answer = await anybody('GET /api/contacts')
    statuses.push(answer.statusCode)
    t.match(answer.headers, {
      'ratelimit-policy': '"client";q=5;w=60',
      ratelimit: new RegExp(`^"client";r=${Math.max(0, 4 - i)};t=\\d+$`)
    })
    if (answer.statusCode === 429) {
      t.match([answer.headers['retry-after'], answer.json().code], [/^\d+$/, 'too_many_requests'])
      assertHeaders(t, 429, answer.headers, 'too many')
    }
  }
  t.same(statuses, [401, 401, 401, 401, 401, 429, 429], 'refused requests count')
  t.equal(
    (await limited.inject({ url: '/api/problems', remoteAddress: '10.0.0.1' })).statusCode,
    200,
    'each address has its own limit'
  )

  t.equal(
    (await limited.inject({ url: '/api/problems', headers: { 'x-forwarded-for': '10.0.0.2' } }))
      .statusCode,
    429,
    'a forged X-Forwarded-For does not help'
  )
  const of = async (remoteAddress: string, url = '/api/problems') =>
    (await limited.inject({ url, remoteAddress })).statusCode
  for (let i = 0; i < 5; i++) t.equal(await of(`2001:db8:1:2::${i}`), 200)
  t.equal(await of('2001:db8:1:2:ffff::9'), 429, 'an IPv6 /64 is one client')
  t.equal(await of('2001:db8:1:3::9'), 200)
  t.equal(await of('::ffff:127.0.0.1'), 429, 'an IPv4 address mapped to IPv6 is the same one')
  for (let i = 0; i < 10; i++)
    for (const url of ['/healthz', '/readyz'])
      t.equal(await of('10.0.0.9', url), 200, 'health checks are outside of the limit')
  t.equal(await of('10.0.0.9'), 200, 'and do not use it up')

  const behind = await application(t, { rate_limit_max: 1, trust_proxy: ['127.0.0.1'] })
  const from = async (ip: string) =>
    (await behind.inject({ url: '/api/problems', headers: { 'x-forwarded-for': ip } })).statusCode
  t.same(
    [await from('10.0.0.1'), await from('10.0.0.1'), await from('10.0.0.2')],
    [200, 429, 200],
    'the header of a trusted proxy is used'
  )
})

t.test('one organization at its limit does not affect another', async t => {
  const limited = await application(t, { rate_limit_organization_max: 6 })
  const home = await organization(limited)
  const user = await home.user('user') // the first of the six requests
  for (let i = 0; i < 3; i++) t.equal((await user.call('GET /api/auth/me')).statusCode, 200)
  for (let i = 1; i >= 0; i--)
    t.match((await home.call('GET /api/auth/me')).headers, {
      'ratelimit-policy': '"organization";q=6;w=60',
      ratelimit: new RegExp(`^"organization";r=${i};t=\\d+$`)
    })
  for (const call of [home.call, user.call]) {
    const refused = await call('GET /api/auth/me')
    t.equal(refused.statusCode, 429)
    t.match(refused.json(), {
      code: 'too_many_requests',
      detail: 'The limit of each organization is 6 requests per minute.'
    })
    t.match(refused.headers, {
      'retry-after': /^\d+$/,
      'ratelimit-policy': '"organization";q=6;w=60',
      ratelimit: /^"organization";r=0;t=\d+$/
    })
    assertHeaders(t, 429, refused.headers, 'of an organization')
  }
  const other = await organization(limited)
  t.equal((await other.call('GET /api/auth/me')).statusCode, 200)
})

t.test('a user at their limit does not use up that of the organization', async t => {
  const limited = await application(t, { rate_limit_max: 4, rate_limit_organization_max: 8 })
  const home = await organization(limited)
  const user = await home.user('user')
  const statuses = async (call: Call, count: number) => {
    const found: number[] = []
    for (let i = 0; i < count; i++) found.push((await call('GET /api/auth/me')).statusCode)
    return found
  }
  t.same(await statuses(user.call, 9), [200, 200, 200, 200, 429, 429, 429, 429, 429])
  t.same(await statuses(home.call, 4), [200, 200, 200, 429])
})

t.test('a login is limited per network', async t => {
  const limited = await application(t, { rate_limit_max: 3 })
  const { call } = await organization(limited)
  const login = async (remoteAddress: string) => {
    const payload = { username: 'nobody', password: 'a wrong one' }
    return await limited.inject({ method: 'POST', url: '/api/auth/login', remoteAddress, payload })
  }
  for (let i = 0; i < 3; i++) t.equal((await login(`2001:db8:1:1::${i}`)).statusCode, 401)
  const refused = await login('2001:db8:1:1::9')
  t.equal(refused.statusCode, 429)
  t.match(refused.headers, { 'ratelimit-policy': '"client";q=3;w=60' })
  t.equal((await login('2001:db8:1:2::1')).statusCode, 401, 'another network')
  for (let i = 0; i < 2; i++) await login('127.0.0.1')
  t.equal((await login('127.0.0.1')).statusCode, 429)
  t.equal((await call('GET /api/auth/me')).statusCode, 200, 'a user who is logged in there')
})

t.test('CORS', async t => {
  const shared = await application(t, { cors_origins: ['https://app.example.com'] })
  const preflight = async (origin: string) =>
    await shared.inject({
      method: 'OPTIONS',
      url: '/api/contacts',
      headers: {
        origin,
        'access-control-request-method': 'PATCH',
        'access-control-request-headers': 'authorization'
      }
    })
  const welcome = await preflight('https://app.example.com')
  t.match(
    [welcome.statusCode, welcome.headers],
    [
      204,
      {
        'access-control-allow-origin': 'https://app.example.com',
        'access-control-allow-methods': /PATCH/,
        'access-control-allow-headers': /authorization/i
      }
    ]
  )
  assertHeaders(t, 204, welcome.headers, 'a preflight')
  t.equal(
    (await preflight('https://evil.example.com')).headers['access-control-allow-origin'],
    undefined
  )
  const answer = await caller(shared)('GET /api/problems', undefined, {
    origin: 'https://app.example.com'
  })
  t.match(answer.headers, {
    'access-control-allow-origin': 'https://app.example.com',
    'access-control-expose-headers': /ETag/,
    vary: /Origin/
  })
  t.match(
    (await caller(shared)('GET /api/contacts', undefined, { origin: 'https://app.example.com' }))
      .headers['access-control-allow-origin'],
    'https://app.example.com',
    'also on a refusal'
  )
  t.equal(
    (await call('GET /api/problems', undefined, { origin: 'https://app.example.com' })).headers[
      'access-control-allow-origin'
    ],
    undefined,
    'none by default'
  )
})

import t from 'tap'
import { application, caller, organization } from '../support/app.ts'
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

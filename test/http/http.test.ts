import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import t from 'tap'
import {
  application,
  bearer,
  caller,
  organization,
  password,
  type Headers
} from '../support/app.ts'
import { assertHeaders } from './headers.ts'

const app = await application(t)
const { call, admin } = await organization(app)

t.test('every response has the security headers', async t => {
  const { id } = (await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })).json()
  const requests: [number, string, (object | undefined)?, Headers?][] = [
    [200, `GET /api/contacts/${id}`],
    [200, 'GET /api/contacts'],
    [201, 'POST /api/contacts', { first_name: 'A', last_name: 'B' }],
    [304, `GET /api/contacts/${id}`, undefined, { 'if-none-match': '"1"' }],
    [204, `DELETE /api/contacts/${id}`],
    [400, 'GET /api/contacts?x=1'],
    [400, 'POST /api/contacts', {}],
    [404, 'GET /api/contacts/999999'],
    [404, 'GET /nowhere'],
    [302, 'GET /'],
    [405, 'PUT /api/contacts', {}],
    [413, 'POST /api/contacts', { first_name: 'x'.repeat(300_000), last_name: 'B' }],
    [200, 'GET /healthz'],
    [200, 'GET /readyz'],
    [400, 'GET /api/contacts/%zz'],
    [200, 'HEAD /api/contacts']
  ]
  for (const [status, request, body, headers] of requests) {
    const answer = await call(request, body, headers)
    t.equal(answer.statusCode, status, request)
    assertHeaders(t, status, answer.headers, request)
    if (status >= 400)
      t.match(
        [answer.headers['content-type'], answer.json()],
        [
          /^application\/problem\+json/,
          {
            status,
            request_id: answer.headers['x-request-id'],
            type: /^\/api\/problems\/\w+$/,
            instance: /^\//
          }
        ]
      )
  }
  const unauthenticated = await caller(app)('GET /api/contacts')
  assertHeaders(t, 401, unauthenticated.headers, 'no token')
})

t.test('a wrong method is a 405 with the allowed ones', async t => {
  for (const [request, allow] of [
    ['PUT /api/contacts', 'GET, HEAD, POST'],
    ['POST /api/contacts/1', 'DELETE, GET, HEAD, PATCH, PUT'],
    ['GET /api/auth/login', 'POST'],
    ['DELETE /healthz', 'GET, HEAD'],
    ['GET /api/leads/1/restore', 'POST']
  ] as const) {
    const answer = await call(request)
    t.match(
      [answer.statusCode, answer.headers.allow, answer.json().code],
      [405, allow, 'method_not_allowed'],
      request
    )
  }
  t.equal((await call('GET /api/contacts/1/nonsense')).statusCode, 404)
})

t.test('invalid bodies are refused', async t => {
  const post = async (payload: string | Buffer, type = 'application/json') =>
    await app.inject({
      method: 'POST',
      url: '/api/contacts',
      payload,
      headers: { ...bearer(admin.token), 'content-type': type }
    })
  const before = (await call('GET /api/contacts?count=exact')).json().total
  for (const [status, why, payload, type] of [
    [400, 'broken JSON', '{"first_name":'],
    [400, 'an array', '[]'],
    [400, 'a number', '1'],
    [400, 'null', 'null'],
    [400, 'nothing', ''],
    [400, '__proto__', '{"first_name":"A","last_name":"B","__proto__":{"x":1}}'],
    [
      400,
      'constructor.prototype',
      '{"first_name":"A","last_name":"B","constructor":{"prototype":{}}}'
    ],
    [
      400,
      'very deep JSON',
      `{"first_name":${'['.repeat(100_000)}${']'.repeat(100_000)},"last_name":"B"}`
    ],
    [400, 'deep objects', `${'{"a":'.repeat(40_000)}1${'}'.repeat(40_000)}`],
    [415, 'text', 'hello', 'text/plain'],
    [415, 'a form', 'first_name=A', 'application/x-www-form-urlencoded'],
    [415, 'XML', '<a/>', 'application/xml'],
    [415, 'no known type', '{}', 'nonsense'],
    [413, 'too much', `{"first_name":"${'x'.repeat(300_000)}"}`],
    [
      400,
      'a byte order mark of another encoding',
      Buffer.from('{"first_name":"A","last_name":"B"}', 'utf16le')
    ]
  ] as [number, string, string | Buffer, string?][]) {
    const answer = await post(payload, type)
    t.match([answer.statusCode, answer.headers['content-type']], [status, /problem\+json/], why)
  }
  t.equal(
    (await post(Buffer.from('{"first_name":"Jos\xe9","last_name":"B"}', 'latin1'))).statusCode,
    400,
    'invalid UTF-8'
  )
  t.equal((await call('GET /api/contacts?count=exact')).json().total, before, 'nothing was stored')
  t.match(
    (await call('POST /api/contacts', { first_name: 'A', last_name: 'B', id: 1 })).json().detail,
    /set by the server/,
    'a server-set field is named as such'
  )
  t.equal(
    (
      await app.inject({
        method: 'POST',
        url: '/api/leads/999999/restore',
        headers: { ...bearer(admin.token), 'content-type': 'application/json' }
      })
    ).statusCode,
    404,
    'a content type without a body is accepted'
  )
  t.equal(
    (
      await app.inject({
        method: 'DELETE',
        url: '/api/leads/999999',
        headers: { ...bearer(admin.token), 'content-type': 'application/json' }
      })
    ).statusCode,
    404
  )
})

t.test('no pattern of the document is slow on any text', async t => {
  const patterns = new Set(
    [...JSON.stringify(app.swagger()).matchAll(/"pattern":"((?:[^"\\]|\\.)*)"/g)].map(
      ([, pattern]) => JSON.parse(`"${pattern}"`) as string
    )
  )
  t.ok(patterns.size > 10)
  for (const pattern of patterns) {
    const expression = new RegExp(pattern, 'u')
    const started = performance.now()
    for (const unit of ['a', ' ', 'a ', '1', ',', 'id,', '1,', '-', '\u00e9'])
      expression.test(unit.repeat(256_000 / unit.length) + '\0')
    t.ok(performance.now() - started < 1_000, pattern.slice(0, 80))
  }
})

t.test('odd requests never cause a 5xx', async t => {
  await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })
  await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })
  for (const host of ['[', '%', 'a b', '', 'a:99999', '<x>', 'evil.example.com/x?']) {
    const answer = await call('GET /api/contacts?limit=1', undefined, { host })
    t.match(
      [answer.statusCode, answer.headers.link],
      [200, /^<\/api\/contacts\?limit=1&cursor=/],
      `Host: ${host}`
    )
  }
  t.equal(
    (await call('GET /api/contacts?created_at[gte]=2024-01-01T00:00:00%2B16:00')).statusCode,
    400
  )
  t.equal((await call('GET /api/contacts?created_at[gte]=0001-01-01')).statusCode, 200)
  for (const url of [
    '/docs/static/../x',
    '/docs/static/x%00',
    '/docs/static/%5c..',
    '/docs/static/nothing.css'
  ])
    t.match((await call(`GET ${url}`)).statusCode, /^4/, url)
  t.equal(
    (await call('GET /docs/static/swagger-ui.css', undefined, { range: 'bytes=99999999-' }))
      .statusCode,
    416
  )
  t.equal((await call('GET /api/contacts/')).statusCode, 200, 'a trailing slash is accepted')
  t.equal((await call('GET /api/contacts/?limit=1')).json().data.length, 1)
})

t.test('request ids', async t => {
  t.equal(
    (await call('GET /healthz', undefined, { 'x-request-id': 'my-request_01' })).headers[
      'x-request-id'
    ],
    'my-request_01',
    'the ID of the caller is kept'
  )
  for (const id of ['short', 'x'.repeat(65), 'with space 123', 'inject\r\nx: y', 'ünïcödé-123']) {
    t.not(
      (await call('GET /healthz', undefined, { 'x-request-id': id })).headers['x-request-id'],
      id,
      `${JSON.stringify(id)} is replaced`
    )
  }
  const made = await Promise.all(
    Array.from({ length: 100 }, async () => (await call('GET /healthz')).headers['x-request-id'])
  )
  t.equal(new Set(made).size, 100, 'generated IDs are unique')
  t.match((await call('GET /api/contacts')).headers['server-timing'], /^total;dur=[\d.]+$/)
})

t.test('the log has one line per request, without secrets', async t => {
  const lines: string[] = []
  const logged = await application(
    t,
    {},
    pino(
      { level: 'trace' },
      {
        write: (line: string) => {
          lines.push(line)
        }
      }
    )
  )
  const home = await organization(logged)
  lines.length = 0
  await home.call('GET /api/contacts?email=somebody@example.com', undefined, {
    'x-request-id': 'a-request-of-mine'
  })
  await caller(logged)('POST /api/auth/login', {
    username: home.admin.user.username,
    password: 'my wrong secret'
  })
  await caller(logged)('POST /api/auth/refresh', { refresh_token: home.admin.refresh_token })
  await home.call('GET /nowhere?token=abc')
  await sleep(20)
  t.equal(lines.length, 4)
  t.match(JSON.parse(lines[0]!), {
    request_id: 'a-request-of-mine',
    method: 'GET',
    path: '/api/contacts',
    status: 200,
    user_id: home.admin.user.id,
    ms: Number
  })
  for (const secret of [
    home.admin.token,
    home.admin.refresh_token,
    password,
    'my wrong secret',
    'somebody@example.com',
    'token=abc'
  ])
    t.notOk(lines.some(line => line.includes(secret)))
})

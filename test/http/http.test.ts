import { mkdtempSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import t from 'tap'
import { startEmbeddedPostgres } from '../../src/bootstrap/embedded-postgres.ts'
import { migrate } from '../../src/bootstrap/migrations.ts'
import {
  application,
  bearer,
  caller,
  organization,
  password,
  type Headers
} from '../support/app.ts'

const app = await application(t)
const { call, admin } = await organization(app)

const promised: Record<string, string | RegExp> = {
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'x-xss-protection': '1; mode=block',
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
  'content-security-policy': /^default-src 'self'/,
  'x-request-id': /^[A-Za-z0-9_-]{8,64}$/
}
type Given = Record<string, unknown>
const carries = (t: Tap.Test, status: number, headers: Given, what: string) => {
  for (const [name, value] of Object.entries(promised))
    t.match(headers[name], value, `${what} (${status}) carries ${name}`)
}

/** What a socket answers to these bytes: status, headers in lower case, body. */
async function raw(
  port: number,
  text: string | string[],
  wait = 0
): Promise<{ status: number; headers: Given; body: string }> {
  const socket = net.connect(port, '127.0.0.1')
  let answer = ''
  socket.on('data', data => {
    answer += data.toString()
  })
  const closed = new Promise(resolve => {
    socket.on('close', resolve)
    socket.on('error', resolve)
  })
  for (const part of [text].flat()) {
    socket.write(part)
    if (wait > 0) await sleep(wait)
  }
  await Promise.race([closed, sleep(15_000)])
  socket.destroy()
  const [head = '', ...body] = answer.split('\r\n\r\n')
  const [line = '', ...lines] = head.split('\r\n')
  return {
    status: Number(line.split(' ')[1]),
    headers: Object.fromEntries(
      lines.map(line => [
        line.slice(0, line.indexOf(':')).toLowerCase(),
        line.slice(line.indexOf(':') + 2)
      ])
    ),
    body: body.join('\r\n\r\n')
  }
}

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
    carries(t, status, answer.headers, request)
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
  carries(t, 401, unauthenticated.headers, 'no token')
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
    'bytes that are no UTF-8'
  )
  t.equal(
    (await call('GET /api/contacts?count=exact')).json().total,
    before,
    'and nothing was stored'
  )
  t.match(
    (await call('POST /api/contacts', { first_name: 'A', last_name: 'B', id: 1 })).json().detail,
    /set by the server/,
    'a field that only we set is named as such'
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
    'a type without a body is no fault'
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
  t.equal((await call('GET /api/contacts/')).statusCode, 200, 'a slash at the end does no harm')
  t.equal((await call('GET /api/contacts/?limit=1')).json().data.length, 1)
})

t.test('request ids', async t => {
  t.equal(
    (await call('GET /healthz', undefined, { 'x-request-id': 'my-request_01' })).headers[
      'x-request-id'
    ],
    'my-request_01',
    "the caller's is kept"
  )
  for (const id of ['short', 'x'.repeat(65), 'with space 123', 'inject\r\nx: y', 'ünïcödé-123']) {
    t.not(
      (await call('GET /healthz', undefined, { 'x-request-id': id })).headers['x-request-id'],
      id,
      `${JSON.stringify(id)} is not taken`
    )
  }
  const made = await Promise.all(
    Array.from({ length: 100 }, async () => (await call('GET /healthz')).headers['x-request-id'])
  )
  t.equal(new Set(made).size, 100, 'those that are made are unique')
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
      carries(t, 429, answer.headers, 'too many')
    }
  }
  t.same(statuses, [401, 401, 401, 401, 401, 429, 429], 'refusals count')
  t.equal(
    (await limited.inject({ url: '/api/problems', remoteAddress: '10.0.0.1' })).statusCode,
    200,
    'each address has its own'
  )

  t.equal(
    (await limited.inject({ url: '/api/problems', headers: { 'x-forwarded-for': '10.0.0.2' } }))
      .statusCode,
    429,
    'a forged X-Forwarded-For does not help'
  )
  const behind = await application(t, { rate_limit_max: 1, trust_proxy: ['127.0.0.1'] })
  const from = async (ip: string) =>
    (await behind.inject({ url: '/api/problems', headers: { 'x-forwarded-for': ip } })).statusCode
  t.same(
    [await from('10.0.0.1'), await from('10.0.0.1'), await from('10.0.0.2')],
    [200, 429, 200],
    'a trusted proxy is believed'
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
  carries(t, 204, welcome.headers, 'a preflight')
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

t.test('on the wire', async t => {
  const served = await application(t)
  await served.listen({ port: 0, host: '127.0.0.1' })
  const { port } = served.server.address() as net.AddressInfo

  await t.test('invalid HTTP and oversized headers are problems, too', async t => {
    for (const [status, code, text] of [
      [400, 'malformed', 'hello\r\n\r\n'],
      [
        431,
        'headers_too_large',
        `GET / HTTP/1.1\r\nHost: x\r\nX-Big: ${'x'.repeat(20_000)}\r\n\r\n`
      ],
      [
        400,
        'malformed',
        'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'
      ]
    ] as const) {
      const answer = await raw(port, text)
      t.match(
        [answer.status, answer.headers['content-type'], JSON.parse(answer.body)],
        [status, /problem\+json/, { status, code }]
      )
      carries(t, status, answer.headers, code)
    }
  })

  await t.test(
    'an unknown Expect or a missing Host is handled like any other request',
    async t => {
      for (const line of ['Host: x\r\nExpect: weird', 'Connection: close']) {
        const answer = await raw(
          port,
          `GET /healthz HTTP/1.1\r\n${line}\r\nConnection: close\r\n\r\n`
        )
        t.equal(answer.status, 200, line)
        carries(t, answer.status, answer.headers, line)
      }
    }
  )

  await t.test('an overlong path is a 404 or 414', async t => {
    const answer = await raw(
      port,
      `GET /api/contacts/${'1'.repeat(300)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`
    )
    t.ok([400, 401, 404, 414].includes(answer.status), String(answer.status))
    carries(t, answer.status, answer.headers, 'a long path')
  })

  await t.test('a slow body is aborted after eight seconds', async t => {
    const started = performance.now()
    const sockets = await Promise.all(
      Array.from({ length: 20 }, () =>
        raw(
          port,
          [
            'POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: ' +
              'application/json\r\nContent-Length: 1000\r\n\r\n',
            '{',
            '"'
          ],
          1_000
        )
      )
    )
    t.ok(performance.now() - started < 14_000)
    for (const answer of sockets)
      t.ok(Number.isNaN(answer.status) || answer.status === 408, 'with 408 or without a word')
  })
})

t.test('without Postgres', async t => {
  const lost = await application(t, { database_url: 'postgres://nobody@127.0.0.1:1/none' })
  const ready = await caller(lost)('GET /readyz')
  t.match(
    [ready.statusCode, ready.headers['retry-after'], ready.json().code],
    [503, '1', 'unavailable']
  )
  carries(t, 503, ready.headers, 'not ready')
  t.equal((await caller(lost)('GET /healthz')).statusCode, 200, 'the process lives all the same')
  const login = await caller(lost)('POST /api/auth/login', { username: 'a', password: 'b' })
  t.match([login.statusCode, login.json().code], [503, 'unavailable'])
})

t.test('with a frozen Postgres', async t => {
  const server = await startEmbeddedPostgres({
    data_dir: path.join(mkdtempSync(path.join(tmpdir(), 'smartx-frozen-')), 'data'),
    durable: false
  })
  t.teardown(async () => {
    await server.stop()
  })
  await migrate(server.url)
  const frozen = await application(t, { database_url: server.url })
  const home = await organization(frozen)
  const { id } = (
    await home.call('POST /api/contacts', { first_name: 'A', last_name: 'before' })
  ).json()
  await home.call(`GET /api/contacts/${id}`)
  const backends = (
    await frozen.services.database.pool<{ pid: number }[]>`select pid from pg_stat_activity`
  ).map(({ pid }) => pid)
  for (const pid of [server.pid, ...backends]) process.kill(pid, 'SIGSTOP')

  const started = performance.now()
  const answers = await Promise.all([
    home.call(`PATCH /api/contacts/${id}`, { last_name: 'after' }),
    home.call('GET /api/contacts'),
    home.call('GET /readyz'),
    home.call('PUT /api/users/1', { role: 'user' }),
    caller(frozen)('POST /api/auth/login', { username: home.admin.user.username, password })
  ])
  t.same(
    answers.map(answer => answer.statusCode),
    [503, 503, 503, 503, 503]
  )
  t.ok(
    performance.now() - started < 9_800,
    'every wait has an end, and before that of the connection'
  )
  t.match(
    answers[0].json().detail,
    /may or may not|unreachable/,
    'a write that was given up says so'
  )

  for (const pid of [server.pid, ...backends]) process.kill(pid, 'SIGCONT')
  for (let i = 0; i < 100 && (await home.call('GET /readyz')).statusCode !== 200; i++)
    await sleep(50)
  await sleep(300)
  const stored = (
    await frozen.services.database.pool<
      { last_name: string }[]
    >`select last_name from contacts where id = ${id}`
  )[0]!.last_name
  t.equal(
    (await home.call(`GET /api/contacts/${id}`)).json().last_name,
    stored,
    'and what it left is what is read'
  )
})

t.test('an internal error reveals nothing', async t => {
  const lines: string[] = []
  const broken = await application(
    t,
    {},
    pino(
      { level: 'error' },
      {
        write: (line: string) => {
          lines.push(line)
        }
      }
    )
  )
  const home = await organization(broken)
  await broken.services.database.pool`alter table contacts rename column phone to telephone`
  const answer = await home.call('GET /api/contacts')
  t.match(
    [answer.statusCode, answer.json().detail],
    [500, 'An internal error occurred. It has been logged.']
  )
  t.notMatch(answer.body, /phone|column|select/)
  carries(t, 500, answer.headers, 'a fault')
  t.match(
    lines.join(''),
    new RegExp(`"request_id":"${String(answer.headers['x-request-id'])}".*phone`),
    'the log has it, under the request id'
  )
})

declare namespace Tap {
  type Test = import('tap').Test
}

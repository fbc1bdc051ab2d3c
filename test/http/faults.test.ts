import { mkdtempSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import t from 'tap'
import { migrateEmbedded, quiet } from '../../src/bootstrap/boot.ts'
import { startEmbeddedPostgres } from '../../src/bootstrap/embedded-postgres.ts'
import { application, caller, organization, ownerOf, password } from '../support/app.ts'
import { type Headers, assertHeaders } from './headers.ts'

/** What a socket answers to these bytes: status, headers in lower case, body. */
async function raw(
  port: number,
  text: string | string[],
  wait = 0
): Promise<{ status: number; headers: Headers; body: string }> {
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
      assertHeaders(t, status, answer.headers, code)
    }
  })

  await t.test('an unknown Expect or a missing Host is handled like any other request', async t => {
    for (const line of ['Host: x\r\nExpect: weird', 'Connection: close']) {
      const answer = await raw(
        port,
        `GET /healthz HTTP/1.1\r\n${line}\r\nConnection: close\r\n\r\n`
      )
      t.equal(answer.status, 200, line)
      assertHeaders(t, answer.status, answer.headers, line)
    }
  })

  await t.test('an overlong path is a 404 or 414', async t => {
    const answer = await raw(
      port,
      `GET /api/contacts/${'1'.repeat(300)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`
    )
    t.ok([400, 401, 404, 414].includes(answer.status), String(answer.status))
    assertHeaders(t, answer.status, answer.headers, 'a long path')
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
      t.ok(Number.isNaN(answer.status) || answer.status === 408, 'with a 408 or without a response')
  })
})

t.test('without Postgres', async t => {
  const lost = await application(t, { database_url: 'postgres://nobody@127.0.0.1:1/none' })
  const ready = await caller(lost)('GET /readyz')
  t.match(
    [ready.statusCode, ready.headers['retry-after'], ready.json().code],
    [503, '1', 'unavailable']
  )
  assertHeaders(t, 503, ready.headers, 'not ready')
  t.equal((await caller(lost)('GET /healthz')).statusCode, 200, 'the process is still alive')
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
  await migrateEmbedded(server.socket_dir, quiet)
  const frozen = await application(t, { database_url: server.url, database: {} })
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
  t.ok(performance.now() - started < 9_800, 'each wait ends before the connection does')
  t.match(answers[0].json().detail, /may or may not|unreachable/, 'an aborted write reports it')

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
    'a read returns what was stored'
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
  await ownerOf(broken)`alter table contacts rename column phone to telephone`
  const answer = await home.call('GET /api/contacts')
  t.match(
    [answer.statusCode, answer.json().detail],
    [500, 'An internal error occurred. It has been logged.']
  )
  t.notMatch(answer.body, /phone|column|select/)
  assertHeaders(t, 500, answer.headers, 'a fault')
  t.match(
    lines.join(''),
    new RegExp(`"request_id":"${String(answer.headers['x-request-id'])}".*phone`),
    'the log has it with the request ID'
  )
})

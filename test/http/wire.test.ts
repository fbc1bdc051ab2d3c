// What only shows on the wire: hosts in the request, and clients that go away.
import net, { type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import t from 'tap'
import { application, organization } from '../support/app.ts'

const lines: string[] = []
const logger = pino({ level: 'info' }, { write: (line: string) => lines.push(line) })
const app = await application(t, {}, logger)
const { id: organization_id, call, admin } = await organization(app)
for (let i = 0; i < 2; i++) await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })
await app.listen({ port: 0, host: '127.0.0.1' })
const { port } = app.server.address() as AddressInfo

/** Sends a request as it is, and returns the whole response. */
const exchange = (text: string) =>
  new Promise<string>(resolve => {
    let response = ''
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.write(text)
    })
    socket.on('data', data => {
      response += data.toString()
    })
    socket.on('close', () => {
      resolve(response)
    })
  })
const authorization = `Authorization: Bearer ${admin.token}\r\nConnection: close\r\n\r\n`

t.test('Link has a path, even if the request has the URL of another host', async t => {
  for (const target of ['http://other.example/api/contacts?limit=1', '/api/contacts?limit=1']) {
    const response = await exchange(
      `GET ${target} HTTP/1.1\r\nHost: other.example\r\n${authorization}`
    )
    t.match(response, /^HTTP\/1.1 200 /)
    t.match(response, /\r\nlink: <\/api\/contacts\?limit=1&cursor=/i)
    t.notMatch(response, /other\.example/)
  }
})

t.test('Link keeps a question mark in a parameter', async t => {
  await call('POST /api/contacts', { first_name: 'A', last_name: 'B?' })
  await call('POST /api/contacts', { first_name: 'A', last_name: 'B?' })
  const { headers } = await call('GET /api/contacts?limit=1&last_name=B?')
  t.match(headers.link, /^<\/api\/contacts\?limit=1&last_name=B%3F&cursor=/)
})

t.test('several Host headers are a 400', async t => {
  for (const hosts of ['Host: a\r\nHost: b', 'Host: a\r\nHOST: a', 'host: a\r\nX: y\r\nhost: a']) {
    const response = await exchange(`GET /api/contacts HTTP/1.1\r\n${hosts}\r\n${authorization}`)
    t.match(response, /^HTTP\/1.1 400 [^]*"code":"malformed"/, hosts)
  }
})

t.test('a client that goes away leaves no error in the log', async t => {
  await app.services.database.pool`
    insert into contacts (organization_id, first_name, last_name)
      select ${organization_id}, 'First' || n, 'Last' || n from generate_series(1, 20000) n`
  for (const accept of ['text/csv', 'text/csv\r\nAccept-Encoding: gzip']) {
    lines.length = 0
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.write(`GET /api/contacts HTTP/1.1\r\nHost: a\r\nAccept: ${accept}\r\n${authorization}`)
    })
    await new Promise(resolve => {
      socket.once('data', resolve)
    })
    socket.destroy()
    for (let i = 0; i < 200 && lines.length === 0; i++) await sleep(10)
    await sleep(100)
    const levels = lines.map(line => (JSON.parse(line) as { level: number }).level)
    t.ok(levels.length > 0, `${accept} is logged`)
    t.ok(
      levels.every(level => level < 50),
      lines.join('')
    )
  }
  for (let i = 0; i < 3; i++)
    t.equal(
      (await call('GET /api/tags', undefined, { accept: 'text/csv' })).statusCode,
      200,
      'aborted exports do not count'
    )
})

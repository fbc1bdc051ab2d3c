// Requests to servers that users name: where they may go, and what they may cost.
import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { createServer, type RequestListener } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { isPublic } from '../../src/core/access/networks.ts'
import { nameLookup } from '../../src/core/name-lookup.ts'
import { createOutbound } from '../../src/core/outbound.ts'

const forbidden = { message: /OUTBOUND_NETWORKS/ }

/** A server of this machine, and the connections that it has got. */
async function server(t: Test, listener: RequestListener, host = '127.0.0.1') {
  const server = createServer(listener)
  const state = { connections: 0, port: 0 }
  server.on('connection', () => state.connections++)
  server.listen(0, host)
  await once(server, 'listening')
  state.port = (server.address() as AddressInfo).port
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return state
}

function outbound(t: Test, networks: string[] = []) {
  const created = createOutbound(networks)
  t.teardown(async () => {
    await created.close()
  })
  return created
}

t.test('a server of a private network is not even connected to', async t => {
  const secret = await server(t, (_, response) => void response.end('internal'))
  const { fetch } = outbound(t)
  const { port } = secret
  for (const protocol of ['http:', 'https:'])
    for (const host of [
      '127.0.0.1',
      'localhost',
      '127.1',
      '2130706433',
      '0x7f000001',
      '0177.0.0.1',
      '[::1]',
      '[::ffff:127.0.0.1]',
      '[64:ff9b::7f00:1]',
      '[::ffff:7f00:1]',
      '0x7f.1',
      '0177.1',
      '127.0.1',
      '0',
      '0.0.0.0',
      '[::]'
    ])
      await t.rejects(fetch(`${protocol}//${host}:${port}/`), forbidden, host)
  t.equal(secret.connections, 0)
})

t.test('what is public is known by its address', async t => {
  for (const address of ['8.8.8.8', '203.0.114.1', '2606:4700::1111', '::ffff:8.8.8.8'])
    t.ok(isPublic(address), address)
  for (const address of [
    '10.0.0.1',
    '172.16.0.1',
    '192.168.0.1',
    '169.254.169.254',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b:1::a00:1',
    '100.64.0.1',
    '127.8.8.8',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '240.0.0.1',
    '192.0.2.1',
    '::1',
    '::',
    'fe80::1',
    'fc00::1',
    'fd00:ec2::254',
    'ff02::1',
    '::ffff:10.0.0.1',
    '64:ff9b::a00:1',
    '2002:a00:1::',
    '2001:0:a00:1::',
    'localhost',
    ''
  ])
    t.notOk(isPublic(address), address)
})

t.test('networks of the operator are allowed, also without TLS', async t => {
  const ours = await server(t, (request, response) => {
    response.setHeader('x-method', request.method!)
    request.pipe(response)
  })
  const { fetch, permits } = outbound(t, ['127.0.0.0/8', '::1'])
  for (const host of ['127.0.0.1', 'localhost']) {
    const url = `http://${host}:${ours.port}/`
    const answer = await fetch(url, { method: 'POST', body: new URLSearchParams({ a: 'b' }) })
    t.same(
      [answer.status, answer.headers.get('x-method'), await answer.text()],
      [200, 'POST', 'a=b']
    )
    t.ok(permits(url))
  }
  await t.rejects(fetch('http://10.0.0.1/'), forbidden)
  await t.rejects(fetch('http://8.8.8.8/'), forbidden, 'a public address needs TLS')
  await t.rejects(fetch('ftp://127.0.0.1/'))
})

t.test('a URL can be judged before it is requested, as far as that goes', async t => {
  const { permits } = outbound(t)
  t.ok(permits('https://login.example.com/a'))
  for (const url of [
    'http://login.example.com',
    'https://127.0.0.1',
    'https://[::1]:8443',
    'https://169.254.169.254/latest',
    'ftp://example.com'
  ])
    t.notOk(permits(url), url)
})

t.test('a redirect is not followed', async t => {
  const other = await server(t, (_, response) => void response.end())
  const first = await server(t, (_, response) => {
    response.writeHead(302, { location: `http://127.0.0.1:${other.port}/` }).end()
  })
  const { fetch } = outbound(t, ['127.0.0.1'])
  const answer = await fetch(`http://127.0.0.1:${first.port}/`)
  t.equal(answer.status, 302)
  t.equal(other.connections, 0)
})

t.test('a response has a size and a time', { timeout: 30_000 }, async t => {
  const { port } = await server(t, ({ url }, response) => {
    if (url === '/large') response.end('x'.repeat(600 * 1024))
    if (url === '/endless') setInterval(() => response.write('x'), 100).unref()
  })
  const { fetch } = outbound(t, ['127.0.0.1'])
  await t.rejects(fetch(`http://127.0.0.1:${port}/large`), /size/)
  const start = performance.now()
  await Promise.all([
    t.rejects(fetch(`http://127.0.0.1:${port}/endless`), { name: 'TimeoutError' }),
    t.rejects(fetch(`http://127.0.0.1:${port}/silent`), 'no response')
  ])
  const seconds = (performance.now() - start) / 1000
  t.ok(seconds > 4 && seconds < 12, `${seconds} seconds`)
})

t.test('of a long response, the beginning can be read', async t => {
  const { promise: closed, resolve: close } = Promise.withResolvers<void>()
  const { port } = await server(t, (request, response) => {
    if (request.url === '/empty') {
      response.writeHead(205).end()
    } else {
      const timer = setInterval(() => response.write('x'.repeat(3000)), 10)
      response.on('close', () => {
        clearInterval(timer)
        close()
      })
    }
  })
  const { fetch } = outbound(t, ['127.0.0.1'])
  const url = `http://127.0.0.1:${port}/`
  const answer = await fetch(url, { bytes: 4096 })
  t.equal((await answer.text()).length, 4096)
  await closed
  t.equal((await fetch(`${url}empty`, { bytes: 4096 })).status, 205)
})

t.test('a request can have a time of its own', async t => {
  const { port } = await server(t, () => {})
  const { fetch } = outbound(t, ['127.0.0.1'])
  const start = performance.now()
  await t.rejects(fetch(`http://127.0.0.1:${port}/`, { time: 200 }), { name: 'TimeoutError' })
  t.ok(performance.now() - start < 3_000)
})

t.test('name servers that do not respond hold up no other names', async t => {
  const silent = createSocket('udp4')
  silent.bind(0, '127.0.0.1')
  await once(silent, 'listening')
  const names = nameLookup(true, [`127.0.0.1:${silent.address().port}`])
  const outbound = createOutbound(['127.0.0.1'], names)
  t.teardown(async () => {
    silent.close()
    await outbound.close()
  })
  let asked = 0
  silent.on('message', () => asked++)
  const attempts = Array.from({ length: 20 }, async (_, i) =>
    outbound.fetch(`https://n${i}.example.com/`).then(
      () => 'a response',
      ({ message }: Error) => message
    )
  )
  const start = performance.now()
  await lookup('localhost')
  t.ok(performance.now() - start < 500, 'another name')
  for (const fault of await Promise.all(attempts)) t.match(fault, /OUTBOUND_NETWORKS|Timeout/)
  t.ok(asked >= 20)
  t.ok(performance.now() - start < 5_000, 'all at a time')
})

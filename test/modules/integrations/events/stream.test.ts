import { once } from 'node:events'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Entry } from '../../../../src/modules/integrations/events/service.ts'
import { application, bearer, organization, ownerOf } from '../../../support/app.ts'
import { messagesOf } from '../../../support/event-stream.ts'
import { everything, userWith } from '../../../support/field-rights.ts'

const app = await application(t)
const address = await app.listen({ port: 0, host: '127.0.0.1' })
type Person = Awaited<ReturnType<typeof organization>>

/** Follows the stream of someone; what was received is in `names`. */
function follow(token: string, query = '', headers = {}) {
  const leaving = new AbortController()
  const names: string[] = []
  const events: string[] = []
  let last = ''
  const ended = (async () => {
    const url = `${address}/api/events/stream?${query}`
    for await (const { id, event, data } of messagesOf(
      url,
      { ...bearer(token), ...headers },
      leaving.signal
    )) {
      events.push(event)
      if (event === 'message') names.push((JSON.parse(data) as Entry).subject.name!)
      last = id
    }
  })().catch((error: unknown) => {
    if (!leaving.signal.aborted) throw error
  })
  return {
    names,
    events,
    ended,
    last: () => last,
    leave: async () => {
      leaving.abort()
      await ended
    }
  }
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    if (condition()) return
    await sleep(10)
  }
  throw new Error(`waited in vain until ${what}`)
}

const add = async ({ call }: Pick<Person, 'call'>, last_name: string) =>
  (await call('POST /api/contacts', { first_name: 'Jo', last_name })).json<{ id: number }>().id

t.test('a stream has what happens, and goes on from its last ID', async t => {
  const one = await organization(app)
  await add(one, 'before')
  const first = follow(one.admin.token)
  await until(() => first.events.includes('ready'), 'the stream is ready')
  for (const name of ['A', 'B', 'C']) await add(one, name)
  await until(() => first.names.length === 3, 'all have arrived')
  await first.leave()
  await add(one, 'D')
  const next = follow(one.admin.token, '', { 'last-event-id': first.last() })
  await add(one, 'E')
  await until(() => next.names.length === 2, 'the rest has arrived')
  t.same([...first.names, ...next.names], ['Jo A', 'Jo B', 'Jo C', 'Jo D', 'Jo E'])
  await next.leave()
})

t.test('a long poll answers when something happens, and after its time', async t => {
  const one = await organization(app)
  const { next_cursor } = (await one.call('GET /api/events?after=latest')).json()
  const waiting = fetch(`${address}/api/events?after=${next_cursor}&types=contact.*&wait=30`, {
    headers: bearer(one.admin.token)
  })
  await sleep(50)
  await one.call('POST /api/accounts', { name: 'Acme' })
  await add(one, 'Doe')
  const page = (await (await waiting).json()) as { data: Entry[]; next_cursor: string }
  t.match(page.data, [{ type: 'contact.created', previous: /^[1-9]/ }])
  const empty = await one.call(`GET /api/events?after=${page.next_cursor}&wait=1`)
  t.same(empty.json(), { data: [], has_more: false, next_cursor: page.next_cursor })
})

t.test('what is written outside of the API arrives as well', async t => {
  const one = await organization(app)
  const stream = follow(one.admin.token)
  await until(() => stream.events.includes('ready'), 'the stream is ready')
  await ownerOf(app)`insert into contacts (organization_id, first_name, last_name)
    values (${one.id}, 'In', 'psql')`
  await until(() => stream.names.length === 1, 'it has arrived')
  t.same(stream.names, ['In psql'])
  await stream.leave()
})

t.test('each event is sent with the rights of then', async t => {
  const one = await organization(app)
  const own = await userWith(one, [{ resource: 'contacts', actions: everything, reach: 'own' }])
  const stream = follow(own.token, 'types=contact.*')
  await until(() => stream.events.includes('ready'), 'the stream is ready')
  await add(one, 'Theirs')
  await add(own, 'Mine')
  await until(() => stream.names.length === 1, 'one has arrived')
  t.same(stream.names, ['Jo Mine'])
  const viewer = (await one.call('GET /api/roles?name=viewer')).json().data[0].id as number
  await one.call(`PATCH /api/users/${own.user.id}`, { role_ids: [viewer] })
  await add(one, 'Another')
  await until(() => stream.names.length === 2, 'what they read now has arrived')
  t.same(stream.names.at(-1), 'Jo Another')
  t.equal((await one.call(`DELETE /api/users/${own.user.id}`)).statusCode, 204)
  await add(one, 'Secret')
  await stream.ended
  t.same(stream.names.length, 2)
  t.equal(stream.events.at(-1), 'error')
})

t.test('who does not read holds nothing up, and loses nothing', async t => {
  const one = await organization(app)
  const { hostname, port } = new URL(address)
  const socket = net.connect(Number(port), hostname)
  await once(socket, 'connect')
  socket.pause()
  socket.write(
    `GET /api/events/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${one.admin.token}\r\n\r\n`
  )
  const stream = follow(one.admin.token)
  await until(() => stream.events.includes('ready'), 'the stream is ready')
  await ownerOf(app)`insert into contacts (organization_id, first_name, last_name, company)
    select ${one.id}, 'N', n::text, repeat('x', 90) from generate_series(1, 5000) n`
  await until(() => stream.names.length === 5_000, 'the other one has all')
  t.equal(stream.names.at(-1), 'N 5000')
  let received = ''
  socket.on('data', data => (received += String(data)))
  socket.resume()
  await until(() => received.includes('"name":"N 5000"'), 'it reads the rest')
  t.equal(received.match(/"type":"contact.created"/g)!.length, 5_000)
  socket.destroy()
  await stream.leave()
})

t.test('an organization can have so many streams, and others have theirs', async t => {
  const [one, other] = [await organization(app), await organization(app)]
  const streams = Array.from({ length: 500 }, () => follow(one.admin.token, 'types=contact.*'))
  await until(() => streams.every(({ events }) => events.length > 0), 'all are ready')
  const refused = await one.call('GET /api/events/stream?duration=0')
  t.equal(refused.statusCode, 429)
  t.ok(refused.headers['retry-after'])
  t.equal((await other.call('GET /api/events/stream?duration=0')).statusCode, 200)
  await add(one, 'Everybody')
  await until(() => streams.every(({ names }) => names.length === 1), 'all have it')
  await Promise.all(streams.map(async ({ leave }) => await leave()))
  while ((await one.call('GET /api/events/stream?duration=0')).statusCode === 429) await sleep(10)
})

t.test('a reader who leaves before the stream begins keeps no turn', async t => {
  const one = await organization(app)
  const owner = ownerOf(app)
  const { feeds } = app.services.database.turns
  await owner.begin(async lock => {
    await lock`select pg_advisory_xact_lock('event_sequence'::regclass::oid::bigint)`
    const { port } = new URL(address)
    const socket = net.connect(Number(port), '127.0.0.1')
    socket.write(
      'GET /api/events/stream HTTP/1.1\r\nhost: x\r\n' +
        `authorization: Bearer ${one.admin.token}\r\n\r\n`
    )
    await sleep(200) // it waits for the positions of what was written before
    socket.destroy()
    await sleep(100)
  })
  await sleep(500)
  const ends = []
  for (let i = 0; i < 500; i++) ends.push(await feeds.begin(one.id))
  t.equal(ends.length, 500, 'all turns of the organization are free')
  for (const end of ends) end()
})

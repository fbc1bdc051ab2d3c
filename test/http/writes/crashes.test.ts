import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { test, type Test } from 'tap'
import { database, settingsOf } from '../../support/app.ts'
import { start } from '../../support/process.ts'

type Server = Awaited<ReturnType<typeof start>>

const credentials = { username: 'admin@example.com', password: 'a quiet harbour 47' }

/** A database, and what starts a server on it that can be killed. */
async function set(t: Test) {
  const url = await database(t)
  const owner = postgres(url, { max: 2, onnotice: () => {} })
  t.teardown(async () => await owner.end())
  const serve = async () => {
    const server = await start(t, {
      ...settingsOf(url),
      ADMIN_PASSWORD: credentials.password,
      RATE_LIMIT_MAX: '1000000'
    })
    if (!server.address) throw new Error(server.output())
    const session = await server.send('POST /api/auth/login', credentials)
    const { token } = (await session.json()) as { token: string }
    return { server, authorization: `Bearer ${token}` }
  }
  return { owner, serve }
}

async function kill({ child, ended }: Server): Promise<void> {
  child.kill('SIGKILL')
  await ended
}

/** Waits until a condition holds. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(5)
}

test('a write of a server that was killed before the commit is done by the repetition', async t => {
  const { owner, serve } = await set(t)
  const before = await serve()
  await before.server.send(
    'POST /api/contacts',
    { first_name: 'Eva', last_name: 'Ek' },
    { authorization: before.authorization }
  )
  const rename = async ({ server, authorization }: typeof before) =>
    await server.send(
      'PATCH /api/contacts/1',
      { last_name: 'Lind' },
      { authorization, 'idempotency-key': 'rename' }
    )
  await owner.begin(async sql => {
    await sql`select from contacts where id = 1 for update`
    const lost = rename(before).catch(() => undefined)
    await until(async () => {
      const [waiting] = await owner`select 1 from pg_stat_activity where wait_event_type = 'Lock'`
      return waiting !== undefined
    })
    await kill(before.server)
    t.equal(await lost, undefined)
  })
  const answer = await rename(await serve())
  t.equal(answer.status, 200)
  t.equal(answer.headers.get('idempotency-replayed'), null)
  const [contact] = await owner`select last_name, version from contacts`
  t.same({ ...contact }, { last_name: 'Lind', version: 2 })
})

test('a write of a server that was killed before its response is not repeated', async t => {
  const { owner, serve } = await set(t)
  const { server, authorization } = await serve()
  const body = JSON.stringify({ first_name: 'Eva', last_name: 'Ek' })
  const { hostname, port } = new URL(server.address)
  const socket = net.connect(Number(port), hostname)
  socket.on('error', () => {}).pause()
  socket.write(
    `POST /api/contacts HTTP/1.1\r\nhost: test\r\nauthorization: ${authorization}\r\n` +
      `idempotency-key: lost\r\ncontent-type: application/json\r\n` +
      `content-length: ${body.length}\r\n\r\n${body}`
  )
  await until(async () => {
    const [row] = await owner`select 1 from contacts`
    return row !== undefined
  })
  await kill(server)
  socket.destroy()
  const next = await serve()
  const answer = await next.server.send('POST /api/contacts', JSON.parse(body) as object, {
    authorization: next.authorization,
    'idempotency-key': 'lost'
  })
  t.equal(answer.status, 201)
  t.equal(answer.headers.get('idempotency-replayed'), 'true')
  t.equal((await owner`select from contacts`).length, 1)
})

/** Crashes of the script; CRASHES=1000 for more. */
const crashes = Number(process.env.CRASHES ?? 150)
const kills = 2

test('a script that crashes at random and retries with keys makes each record once', async t => {
  const { owner, serve } = await set(t)
  let at = await serve()
  let crashed = 0
  let killed = 0
  let row = 0
  while (crashed < crashes) {
    const { server, authorization } = at
    const status = fetch(`${server.address}/api/contacts`, {
      method: 'POST',
      signal: AbortSignal.timeout(Math.ceil(Math.random() * 12)),
      headers: {
        authorization,
        'idempotency-key': `row-${row}`,
        'content-type': 'application/json'
      },
      body: JSON.stringify({ first_name: 'Eva', last_name: `Row ${row}` })
    }).then(
      answer => answer.status,
      () => undefined
    )
    if (crashed > ((killed + 1) * crashes) / (kills + 1)) {
      await sleep(Math.random() * 5)
      await kill(server)
      killed++
      await status
      at = await serve()
      continue
    }
    const received = await status
    if (received === undefined) crashed++
    else if (received === 201) row++
    else if (received !== 409) t.fail(`a response of ${received}`)
  }
  await sleep(200) // the last one may still be committed
  const names = await owner<{ last_name: string }[]>`select last_name from contacts order by id`
  const distinct = new Set(names.map(({ last_name }) => last_name))
  t.equal(distinct.size, names.length, `${names.length} records, none of them twice`)
  t.ok(names.length === row || names.length === row + 1, 'none is missing')
  const [events] = await owner`select count(*)::int as count from events
    where type = 'contact.created'`
  t.equal(events!.count, names.length)
  t.equal(killed, kills)
})

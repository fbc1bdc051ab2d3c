// Interleavings of writers that chance does not bring about.
import postgres from 'postgres'
import t from 'tap'
import { application, database, organization } from '../../support/app.ts'

const database_url = await database(t)
const app = await application(t, { database_url })
const other = postgres(database_url, { max: 1 })
t.teardown(() => other.end())

/** Runs `interfere` before each of the first `times` looks at why an update matched no row. */
function interfereWithUpdates(times: number, interfere: (n: number) => Promise<unknown>) {
  const { point } = app.services.database
  const send = point.unsafe.bind(point)
  let seen = 0
  point.unsafe = ((...[text, ...rest]: Parameters<typeof send>) => {
    if (!text.includes('"?differs"') || seen === times) return send(text, ...rest)
    seen++
    return interfere(seen).then(() => send(text, ...rest))
  }) as typeof point.unsafe
  return () => {
    point.unsafe = send
    return seen
  }
}

t.test('an update that another writer overtakes is tried again', async t => {
  const { call } = await organization(app)
  const contact = { first_name: 'A', last_name: 'B', position: 'Buyer' }
  const { id } = (await call('POST /api/contacts', contact)).json()
  const restore = interfereWithUpdates(
    1,
    async () => await other`update contacts set position = 'Seller' where id = ${id}`
  )
  const answer = await call(`PATCH /api/contacts/${id}`, { position: 'Buyer' })
  t.equal(restore(), 1, 'the other writer came in between')
  t.match([answer.statusCode, answer.json()], [200, { position: 'Buyer', version: 2 }])
})

t.test('an update that is overtaken again and again is a 503 that changes nothing', async t => {
  const { call } = await organization(app)
  const contact = { first_name: 'A', last_name: 'B', position: 'Buyer' }
  const { id } = (await call('POST /api/contacts', contact)).json()
  // the value is there when the update looks, and another one when it looks for the reason
  const { writes, point } = app.services.database
  const interfering = (sql: typeof writes, position: string) => {
    const send = sql.unsafe.bind(sql)
    sql.unsafe = ((...args: Parameters<typeof send>) =>
      other`update contacts set position = ${position} where id = ${id}`.then(() =>
        send(...args)
      )) as typeof sql.unsafe
    return () => {
      sql.unsafe = send
    }
  }
  const restore = [interfering(writes, 'Buyer'), interfering(point, 'Seller')]
  const answer = await call(`PATCH /api/contacts/${id}`, { position: 'Buyer' })
  for (const undo of restore) undo()
  t.match([answer.statusCode, answer.json().code], [503, 'unavailable'])
  t.match((await other`select position, version from contacts where id = ${id}`)[0], {
    position: 'Seller',
    version: 1
  })
})

const mark = async (id: number, deleted: boolean) =>
  await other`update contacts set version = version + 1,
    deleted_at = ${deleted ? other`now()` : null} where id = ${id}`

/** Runs `before` each statement of a connection that `concerns`, as long as it is wanted. */
function interfere(
  name: 'writes' | 'point',
  concerns: (text: string) => boolean,
  before: () => Promise<unknown>
) {
  const connection = app.services.database[name]
  const send = connection.unsafe.bind(connection)
  connection.unsafe = ((...[text, ...rest]: Parameters<typeof send>) =>
    concerns(text)
      ? before().then(() => send(text, ...rest))
      : send(text, ...rest)) as typeof connection.unsafe
  return () => {
    connection.unsafe = send
  }
}

/** Lets another writer undo a change of a contact between its statement and the look at why. */
async function undoing(id: number, deleted: boolean, times: number, work: () => Promise<unknown>) {
  let left = times
  const isWrite = (text: string) => text.startsWith('update "contacts" set deleted_at')
  const isLook = (text: string) => text.includes('from "contacts" where')
  const restore = [
    interfere(
      'writes',
      text => left > 0 && isWrite(text),
      async () => await mark(id, deleted)
    ),
    interfere(
      'point',
      text => left-- > 0 && isLook(text),
      async () => await mark(id, !deleted)
    )
  ]
  await work()
  for (const one of restore) one()
}

t.test('a deletion between a deletion and a restoration of others is no conflict', async t => {
  const { call } = await organization(app)
  const { id } = (await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })).json()
  await undoing(id, true, 1, async () => {
    t.equal((await call(`DELETE /api/contacts/${id}`)).statusCode, 204)
  })
  t.equal((await call(`GET /api/contacts/${id}`)).statusCode, 404)
})

t.test('a restoration between those of others returns the record', async t => {
  const { call } = await organization(app)
  const { id } = (await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })).json()
  await call(`DELETE /api/contacts/${id}`)
  await undoing(id, false, 1, async () => {
    const answer = await call(`POST /api/contacts/${id}/restore`)
    t.match([answer.statusCode, answer.json()], [200, { id, deleted_at: null }])
  })
  t.equal((await call(`GET /api/contacts/${id}`)).statusCode, 200)
})

t.test('of 20 callers who delete one record, one is told so; all can restore it', async t => {
  const { call } = await organization(app)
  const { id } = (await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })).json()
  const all = async (request: string, headers = {}) => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => await call(request, undefined, headers))
    )
    return answers.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b)
  }
  const others = (status: number) => Array.from({ length: 19 }, () => status)
  t.same(await all(`DELETE /api/contacts/${id}`), [204, ...others(404)])
  t.same(await all(`POST /api/contacts/${id}/restore`), [200, ...others(200)])
  const { version } = (await call(`GET /api/contacts/${id}`)).json()
  t.equal(version, 3, 'each of them changed it once')
  t.same(await all(`DELETE /api/contacts/${id}`, { 'if-match': '"3"' }), [204, ...others(404)])
  t.same(await all(`DELETE /api/contacts/${id + 1}`), [404, ...others(404)])
  t.same(await all(`POST /api/contacts/${id + 1}/restore`), [404, ...others(404)])
})

t.test('20 callers who delete, restore and change one record get what happened', async t => {
  const { call } = await organization(app)
  const { id } = (await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })).json()
  const url = `/api/contacts/${id}`
  const possible = { DELETE: [204, 404], POST: [200], PATCH: [200, 404] }
  const done = { DELETE: 0, PATCH: 0 }
  await Promise.all(
    Array.from({ length: 20 }, async (_, caller) => {
      for (let turn = 0; turn < 10; turn++) {
        const kind = (['DELETE', 'POST', 'PATCH'] as const)[(caller + turn) % 3]!
        const answer =
          kind === 'POST'
            ? await call(`POST ${url}/restore`)
            : await call(
                `${kind} ${url}`,
                kind === 'PATCH' ? { position: `${caller}/${turn}` } : undefined
              )
        if (answer.statusCode === 503) continue // overtaken again and again: nothing was saved
        t.ok(possible[kind].includes(answer.statusCode), `${kind}: ${answer.statusCode}`)
        if (kind !== 'POST' && answer.statusCode < 300) done[kind]++
      }
    })
  )
  const events = await other<{ type: string; count: number }[]>`select type, count(*)::int as count
    from events where subject_type = 'contact' and subject_id = ${id} group by type`
  const count = (type: string) => events.find(event => event.type === `contact.${type}`)?.count ?? 0
  t.equal(count('deleted'), done.DELETE)
  t.equal(count('updated'), done.PATCH)
  t.equal(
    (await other`select version from contacts where id = ${id}`)[0]!.version,
    1 + done.DELETE + done.PATCH + count('restored')
  )
})

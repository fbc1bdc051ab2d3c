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
  const { pool, point } = app.services.database
  const interfering = (sql: typeof pool, position: string) => {
    const send = sql.unsafe.bind(sql)
    sql.unsafe = ((...args: Parameters<typeof send>) =>
      other`update contacts set position = ${position} where id = ${id}`.then(() =>
        send(...args)
      )) as typeof sql.unsafe
    return () => {
      sql.unsafe = send
    }
  }
  const restore = [interfering(pool, 'Buyer'), interfering(point, 'Seller')]
  const answer = await call(`PATCH /api/contacts/${id}`, { position: 'Buyer' })
  for (const undo of restore) undo()
  t.match([answer.statusCode, answer.json().code], [503, 'unavailable'])
  t.match((await other`select position, version from contacts where id = ${id}`)[0], {
    position: 'Seller',
    version: 1
  })
})

import fs from 'node:fs'
import path from 'node:path'
import postgres from 'postgres'
import {
  assertKept,
  guarantee,
  oneConnection,
  query,
  start,
  startOwner,
  until
} from '../support/embedded-postgres.ts'

guarantee('a server that hangs is stopped', 'used', async (t, data_dir) => {
  const server = await start(t, data_dir)
  const sql = postgres(server.url, oneConnection)
  const [backend] = await sql<[{ pid: number }]>`select pg_backend_pid() as pid`
  process.kill(backend.pid, 'SIGSTOP') // the fast shutdown waits for this one
  const begin = Date.now()
  await server.stop()
  t.ok(Date.now() - begin < 25_000)
  t.throws(() => process.kill(backend.pid, 0), { code: 'ESRCH' })
  await sql.end({ timeout: 0 })
})

guarantee('kill -9 of node stops the server', 'used', async (t, data_dir) => {
  const owner = startOwner(t, data_dir)
  await owner.ready()
  owner.kill()
  await until(() => !fs.existsSync(path.join(data_dir, 'postmaster.pid')))
})

guarantee(
  'kill -9 of node loses no acknowledged row, even if the next start is immediate',
  'used',
  async (t, data_dir) => {
    const owner = startOwner(t, data_dir)
    const { socket_dir } = await owner.ready()
    owner.kill()
    await owner.over
    await assertKept(t, data_dir, owner.written())
    t.notOk(fs.existsSync(socket_dir), 'its socket folder is removed')
  }
)

guarantee(
  'kill -9 of the server loses no acknowledged row, and node notices',
  'used',
  async (t, data_dir) => {
    const owner = startOwner(t, data_dir)
    const { pid } = await owner.ready()
    process.kill(pid, 'SIGKILL')
    await owner.over
    t.ok(owner.reports.at(-1)?.exited)
    await assertKept(t, data_dir, owner.written())
  }
)

guarantee(
  'a start waits for lingering processes of a killed server',
  'used',
  async (t, data_dir) => {
    const { url, pid, exited } = await start(t, data_dir)
    const sql = postgres(url, oneConnection)
    const [backend] = await sql<[{ pid: number }]>`select pg_backend_pid() as pid`
    process.kill(backend.pid, 'SIGSTOP')
    process.kill(pid, 'SIGKILL')
    await exited
    setTimeout(() => process.kill(backend.pid, 'SIGCONT'), 1000)
    const again = await start(t, data_dir)
    t.same(await query(again.url, 'select 1 as one'), [{ one: 1 }])
    await sql.end({ timeout: 0 })
  }
)

guarantee(
  'kill -9 of node and of the server together loses no acknowledged row',
  'used',
  async (t, data_dir) => {
    const owner = startOwner(t, data_dir)
    const { pid } = await owner.ready()
    process.kill(pid, 'SIGKILL')
    owner.kill()
    await owner.over
    await assertKept(t, data_dir, owner.written())
  }
)

guarantee(
  'the server recovers from kill -9 of one backend with every acknowledged row',
  'used',
  async (t, data_dir) => {
    const server = await start(t, data_dir)
    const sql = postgres(server.url, oneConnection)
    const [backend] = await sql<[{ pid: number }]>`select pg_backend_pid() as pid`
    await sql`create table written as select generate_series(1, 100) as n`
    process.kill(backend.pid, 'SIGKILL')
    await t.rejects(sql`select 1`)
    await sql.end({ timeout: 0 })
    let count: number | undefined
    const polling = setInterval(() => {
      query<{ count: number }>(server.url, 'select count(*)::int from written')
        .then(([row]) => (count = row?.count))
        .catch(() => 'recovering')
    }, 50)
    await until(() => count !== undefined)
    clearInterval(polling)
    t.equal(count, 100)
  }
)

guarantee(
  'kill -9 in the middle of the first start does not affect the next one',
  'new',
  async (t, data_dir) => {
    const owner = startOwner(t, data_dir)
    const parent = path.dirname(data_dir)
    const isHalfway = () =>
      fs.existsSync(parent) &&
      fs
        .readdirSync(parent)
        .some(
          name => name.startsWith('data.init-') && fs.existsSync(path.join(parent, name, 'base'))
        )
    await until(() => owner.reports.length > 0 || isHalfway())
    owner.kill()
    await owner.over
    const { url } = await start(t, data_dir)
    t.same(await query(url, 'select 1 as one'), [{ one: 1 }])
    t.same(fs.readdirSync(parent), ['data'])
  }
)

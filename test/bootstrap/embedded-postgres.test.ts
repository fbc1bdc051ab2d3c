import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { startEmbeddedPostgres } from '../../src/bootstrap/embedded-postgres.ts'
import {
  assertKept,
  binaries,
  checkout,
  guarantee,
  is_root,
  ordinary_user,
  query,
  start,
  startOwner,
  until
} from '../support/embedded-postgres.ts'

guarantee(
  'a folder is created with its parents, and only its user can reach the socket',
  'new',
  async (t, data_dir) => {
    const { url, socket_dir, pid } = await start(t, path.join(data_dir, 'deep/down'))
    const [settings] = await query(
      url,
      `select current_setting('server_version_num')::int / 10000 as major,
        current_setting('TimeZone') as zone, current_setting('listen_addresses') as addresses,
        current_setting('fsync') as fsync, current_setting('wal_level') as wal_level`
    )
    t.same(settings, { major: 18, zone: 'UTC', addresses: '', fsync: 'on', wal_level: 'minimal' })
    const stat = fs.statSync(socket_dir)
    t.equal(stat.mode & 0o777, 0o700)
    t.equal(stat.uid, is_root ? ordinary_user.uid : process.getuid?.())
    t.ok(`${socket_dir}/,/.s.PGSQL.5432`.length < 104)
    t.doesNotThrow(() => process.kill(pid, 0))
  }
)

guarantee('case and similarity know letters beyond ASCII', 'used', async (t, data_dir) => {
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
})

guarantee(
  'after a stop, all data is kept and no process, lock or socket is left',
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
  'a second start on the same folder names the owner and does no harm',
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
    await t.rejects(startEmbeddedPostgres({ data_dir: link }), { message }, 'by another name, too')
    const before = owner.written().length
    await until(() => owner.written().length > before)
  }
)

guarantee(
  'of four concurrent starts, one gets the folder and the others name it',
  'new',
  async (t, data_dir) => {
    const race = async () => {
      const owners = [1, 2, 3, 4].map(() => startOwner(t, data_dir))
      await until(() => owners.every(owner => owner.reports.length > 0))
      const winners = owners.filter(owner => owner.reports[0]?.ready)
      t.equal(winners.length, 1)
      for (const { reports } of owners.filter(owner => !winners.includes(owner))) {
        t.match(
          reports[0]?.refused,
          new RegExp(`^${data_dir} is in use by process ${winners[0]?.child.pid} .*DATA_DIR.*$`)
        )
      }
      winners[0]?.kill()
      await winners[0]?.over
    }
    await race()
    t.same(fs.readdirSync(path.dirname(data_dir)), ['data'], 'no incomplete folder is left')
    await race()
  }
)

guarantee('Ctrl-C in the terminal reaches node and not the server', 'used', async (t, data_dir) => {
  const owner = startOwner(t, data_dir, { detached: true })
  await owner.ready()
  process.kill(-owner.child.pid!, 'SIGINT')
  await until(() => owner.reports.some(report => report.interrupted))
  const before = owner.written().length
  await until(() => owner.written().length > before + 20)
})

guarantee(
  'a lock file of another process, or an empty one, does not prevent a start',
  'used',
  async (t, data_dir) => {
    const { stop } = await start(t, data_dir)
    await stop()
    const { uid, gid } = fs.statSync(data_dir)
    // of the same user: one that PostgreSQL takes for a server
    const other = spawn('sleep', ['60'], is_root ? { uid, gid } : {})
    t.teardown(() => other.kill())
    const lock = path.join(data_dir, 'postmaster.pid')
    fs.writeFileSync(lock, `${other.pid}\n${data_dir}\n1790000000\n5432\n/tmp\n\n  1 1\nready   \n`)
    await (await start(t, data_dir)).stop()
    t.equal(other.exitCode, null)
    fs.writeFileSync(lock, '')
    fs.utimesSync(lock, 1_790_000_000, 1_790_000_000)
    await (await start(t, data_dir)).stop()
  }
)

guarantee(
  'an orphaned server is replaced; one that was started manually is not',
  'used',
  async (t, data_dir) => {
    const { stop } = await start(t, data_dir)
    await stop()
    const startManually = async (...args: string[]) => {
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
    const manual = await startManually()
    await t.rejects(startEmbeddedPostgres({ data_dir }), {
      message: new RegExp(`is in use by process ${manual.pid} `)
    })
    manual.kill('SIGINT')
    await once(manual, 'exit')
    const orphan = await startManually('-c', 'embedded.owner=1')
    const { url } = await start(t, data_dir)
    t.same(await query(url, 'select 1 as one'), [{ one: 1 }])
    t.equal(orphan.exitCode, 0)
  }
)

/** What a start could change about the files of a folder. */
const snapshot = (folder: string) =>
  fs.readdirSync(folder, { recursive: true }).map(name => {
    const { uid, mode, mtimeMs } = fs.statSync(path.join(folder, String(name)))
    return [name, uid, mode, mtimeMs]
  })

guarantee('data of another major version is refused and unchanged', 'new', async (t, data_dir) => {
  fs.mkdirSync(path.join(data_dir, 'base'), { recursive: true })
  fs.writeFileSync(path.join(data_dir, 'PG_VERSION'), '17\n')
  const before = snapshot(path.dirname(data_dir))
  await t.rejects(startEmbeddedPostgres({ data_dir }), {
    message:
      `${data_dir} has data of PostgreSQL 17, not 18: dump and restore it, or set ` +
      'DATA_DIR to another folder'
  })
  t.same(snapshot(path.dirname(data_dir)), before)
})

guarantee('a folder with other files is refused and unchanged', 'new', async (t, data_dir) => {
  fs.mkdirSync(data_dir, { recursive: true })
  fs.writeFileSync(path.join(data_dir, 'notes.txt'), 'text')
  const before = snapshot(path.dirname(data_dir))
  await t.rejects(startEmbeddedPostgres({ data_dir }), {
    message: `${data_dir} is not empty and has no PostgreSQL data: set DATA_DIR to another folder`
  })
  t.same(snapshot(path.dirname(data_dir)), before)
})

guarantee(
  'root starts from a home folder of mode 700 with minimal capabilities, and so does a user',
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
    await assertKept(t, path.join(own, 'data'), users.written())
  }
)

guarantee('without the package, the error says to set DATABASE_URL', 'new', async (t, data_dir) => {
  const copy = path.join(path.dirname(data_dir), 'bootstrap')
  fs.cpSync(path.join(checkout, 'src/bootstrap'), copy, { recursive: true })
  const alone: typeof import('../../src/bootstrap/embedded-postgres.ts') = await import(
    path.join(copy, 'embedded-postgres.ts')
  )
  await t.rejects(alone.startEmbeddedPostgres({ data_dir }), {
    message: /^No embedded PostgreSQL .*: set DATABASE_URL to a PostgreSQL 18 server$/
  })
  t.notOk(fs.existsSync(data_dir))
})

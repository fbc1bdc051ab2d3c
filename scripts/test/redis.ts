import { spawn, spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { findFreePort } from '../free-port.ts'

/** The server of REDIS_URL, otherwise a new one; undefined if Redis is not installed. */
export async function startRedis(): Promise<{ url: string; stop: () => void } | undefined> {
  if (process.env.REDIS_URL) return { url: process.env.REDIS_URL, stop: () => {} }
  if (spawnSync('redis-server', ['--version']).status !== 0) {
    console.log(
      'Tests of the shared cache are skipped. Install redis-server or set REDIS_URL to run them.'
    )
    return undefined
  }
  const port = String(await findFreePort())
  const options = { port, bind: '127.0.0.1', save: '', appendonly: 'no', dir: tmpdir() }
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])
  const child = spawn('redis-server', args, { stdio: 'ignore' })
  return {
    url: `redis://127.0.0.1:${port}`,
    stop: () => {
      child.kill()
    }
  }
}

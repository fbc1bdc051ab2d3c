import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { openSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { ProbeCommand, Usage } from './probe.ts'
import { findFreePort } from '../free-port.ts'

export interface Process {
  url: string
  child: ChildProcess
  stop: () => Promise<void>
}

/** The flags and settings of `npm start`, which all servers here use. */
const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  scripts: { start: string }
}
const words = scripts.start.split(' ')
const flags = words.filter(word => word.startsWith('--') && !word.startsWith('--env'))
const settings = Object.fromEntries(
  words.filter(word => /^[A-Z_]+=/.test(word)).map(word => word.split('=') as [string, string])
)

/**
 * Starts a server script of this folder on a free port and waits until `/readyz` returns 200. `ms`
 * is the time until then. Errors: if the server exits.
 */
export async function startServer(
  script: string,
  args: string[],
  env: Record<string, string>,
  log: string
): Promise<Process & { ms: number }> {
  const port = await findFreePort()
  const startedAt = performance.now()
  const file = openSync(log, 'a')
  const child = spawn(
    process.execPath,
    [...flags, fileURLToPath(import.meta.resolve(script)), ...args],
    {
      stdio: ['ignore', file, file, 'ipc'],
      env: { ...process.env, ...settings, PORT: String(port), NODE_ENV: 'production', ...env }
    }
  )
  const url = `http://127.0.0.1:${port}`
  while (!(await isReady(url))) {
    if (child.exitCode !== null) throw new Error(`${script} did not start: see ${log}`)
    await sleep(5)
  }
  const ms = performance.now() - startedAt
  const stop = async () => {
    const exit = once(child, 'exit')
    child.kill('SIGTERM')
    await exit
  }
  return { url, child, stop, ms }
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/readyz`)).ok
  } catch {
    return false
  }
}

/** Sends a command to the probe of a server. Returns the usage of the server. */
export async function probe({ child }: Process, command: ProbeCommand): Promise<Usage> {
  const response = once(child, 'message')
  child.send(command)
  return (await response)[0] as Usage
}

/** Runs a script to its end. Errors: if it fails. */
export async function runScript(
  script: string,
  args: string[],
  env: Record<string, string>
): Promise<void> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.resolve(script)), ...args], {
    stdio: 'inherit',
    env: { ...process.env, ...env }
  })
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw new Error(`${script} failed`)
}

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { openSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Question, Usage } from './probe.ts'
import { findFreePort } from '../free-port.ts'

export interface Process {
  url: string
  child: ChildProcess
  stop: () => Promise<void>
}

/** The flags and settings of `npm start`, with which every server here runs. */
const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  scripts: { start: string }
}
const words = scripts.start.split(' ')
const flags = words.filter(word => word.startsWith('--') && !word.startsWith('--env'))
const settings = Object.fromEntries(
  words.filter(word => /^[A-Z_]+=/.test(word)).map(word => word.split('=') as [string, string])
)

/**
 * Starts a server of this folder on a free port, and waits until `path` is a 200. `ms`: how long
 * that took.
 */
export async function start(
  script: string,
  args: string[],
  env: Record<string, string>,
  path: string,
  log: string
): Promise<Process & { ms: number }> {
  const port = await findFreePort()
  const began = performance.now()
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
  while (
    !(await fetch(url + path).then(
      ({ ok }) => ok,
      () => false
    ))
  ) {
    if (child.exitCode !== null) throw new Error(`${script} did not start; see ${log}`)
    await new Promise(resolve => {
      setTimeout(resolve, 5)
    })
  }
  const ms = performance.now() - began
  const stop = async () => {
    const gone = once(child, 'exit')
    child.kill('SIGTERM')
    await gone
  }
  return { url, child, stop, ms }
}

export async function probe({ child }: Process, question: Question): Promise<Usage> {
  const response = once(child, 'message')
  child.send(question)
  return (await response)[0] as Usage
}

/** Runs a script of this project. Errors: if it fails. */
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

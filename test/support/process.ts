import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'

export type Env = Record<string, string>
const clean = { PATH: process.env.PATH ?? '', HOST: '127.0.0.1', PORT: '0' }
/** Starts the API as a process, and waits until it listens or ends (without an `address`). */
export async function start(t: Test, env: Env) {
  const child = spawn(process.execPath, ['src/main.ts'], { env: { ...clean, ...env } })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', data => {
      output += String(data)
    })
  // when all of its output has been read, too
  const ended = new Promise<number | null>(resolve => {
    child.on('close', resolve)
  })
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const address = await (async () => {
    while (child.exitCode === null && child.signalCode === null) {
      const address = /SmartX CRM API +(\S+)[^]*curl.*\n/.exec(output)?.[1]
      if (address) return address
      await sleep(20)
    }
    await ended
    return undefined
  })()
  return {
    child,
    address: address!,
    ended,
    output: () => output,
    send: async (request: string, body?: object, headers: Env = {}) => {
      const [method, url] = request.split(' ') as [string, string]
      return await fetch(address! + url, {
        method,
        headers: { ...(body && { 'content-type': 'application/json' }), ...headers },
        ...(body && { body: JSON.stringify(body) })
      })
    }
  }
}

/** Runs a command. */
export const run = (
  command: string,
  args: string[],
  { env = {}, cwd = '.', input = '' }: { env?: Env; cwd?: string; input?: string } = {}
) =>
  new Promise<{ code: unknown; output: string }>(resolve => {
    const child = execFile(
      command,
      args,
      { cwd, env: { ...clean, ...env } },
      (error, stdout, stderr) => {
        resolve({ code: error?.code ?? 0, output: stdout + stderr })
      }
    )
    child.stdin?.end(input)
  })

/** The path of a folder that does not exist yet, in one that is removed after the test. */
export const folder = (t: Test) => {
  const name = mkdtempSync(path.join(tmpdir(), 'smartx-start-'))
  t.teardown(() => {
    rmSync(name, { recursive: true, force: true })
  })
  return path.join(name, 'missing')
}

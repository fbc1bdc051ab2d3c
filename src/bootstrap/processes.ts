// Processes that are not our own children, and children that may have ended.
import { type ChildProcess, execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * The parent and the command line of a process; undefined if it has exited. Read from /proc where
 * there is one, since a slim image has no ps.
 */
export function inspect(pid: number): { parent: number; args: string } | undefined {
  try {
    const [parent, args] =
      process.platform === 'linux'
        ? [
            /^PPid:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1],
            fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
          ]
        : ['ppid=', 'args='].map(column =>
            execFileSync('/bin/ps', ['-ww', '-o', column, '-p', String(pid)], {
              encoding: 'utf8',
              stdio: 'pipe'
            }).replace('\n', ' ')
          )
    return { parent: Number(parent), args: args ?? '' }
  } catch {
    return undefined
  }
}

/**
 * Stops a server: with a checkpoint first, so that the next start is quick; then without one, which
 * loses nothing either; then by force. Errors: if it is still there.
 */
export async function endServer(pid: number, isGone: () => boolean): Promise<void> {
  const endsWithin = async (signal: NodeJS.Signals, milliseconds: number) => {
    if (!isGone())
      tolerating(['ESRCH'], () => {
        process.kill(pid, signal)
      })
    return until(isGone, performance.now() + milliseconds)
  }
  if (
    (await endsWithin('SIGINT', 10_000)) ||
    (await endsWithin('SIGQUIT', 7_000)) ||
    (await endsWithin('SIGKILL', 5_000))
  )
    return
  throw new Error(`PostgreSQL ${pid} did not stop`)
}

/** Polls until `condition` holds: true; false when `deadline` (by `performance.now`) passes. */
export async function until(condition: () => boolean, deadline = Infinity): Promise<boolean> {
  if (condition()) return true
  if (performance.now() > deadline) return false
  await sleep(10)
  return until(condition, deadline)
}

/** Whether a child process has exited or was killed. */
export const hasEnded = (child: ChildProcess): boolean =>
  child.exitCode !== null || child.signalCode !== null

/** Runs `action` and ignores errors of these codes: another process did it, or it is not needed. */
export function tolerating(codes: string[], action: () => void): void {
  try {
    action()
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && codes.includes(String(error.code))))
      throw error
  }
}

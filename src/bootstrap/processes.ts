// Processes that are not our own children, and children that may have ended.
import { type ChildProcess, execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Parent and command line of a process; undefined when it has ended. By /proc where there is one: a
 * slim image has no ps.
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
 * Fast first (with a checkpoint, so that the next start is quick), then without one, which loses
 * nothing either, then by force.
 */
export async function endServer(pid: number, isGone: () => boolean): Promise<void> {
  const ends = async (signal: NodeJS.Signals, patience: number) => {
    if (!isGone())
      tolerating(['ESRCH'], () => {
        process.kill(pid, signal)
      })
    return until(isGone, Date.now() + patience)
  }
  if (
    (await ends('SIGINT', 10_000)) ||
    (await ends('SIGQUIT', 7_000)) ||
    (await ends('SIGKILL', 5_000))
  )
    return
  throw new Error(`PostgreSQL ${pid} does not end`)
}

/** Polls until `condition` holds: true; false when `deadline` (ms since the epoch) passes first. */
export async function until(condition: () => boolean, deadline = Infinity): Promise<boolean> {
  if (condition()) return true
  if (Date.now() > deadline) return false
  await sleep(10)
  return until(condition, deadline)
}

/** Whether a child process has exited or was killed. */
export const hasEnded = (child: ChildProcess): boolean =>
  child.exitCode !== null || child.signalCode !== null

/** Takes errors of these codes for success: another process did it first, or it needs no doing. */
export function tolerating(codes: string[], action: () => void): void {
  try {
    action()
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && codes.includes(String(error.code))))
      throw error
  }
}

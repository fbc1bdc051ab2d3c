import type { FastifyBaseLogger } from 'fastify'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from '../core/access/context.ts'
import { maxSnapshots } from '../core/db/connections.ts'
import { forbidden } from '../core/errors.ts'
import type { Services } from '../core/services.ts'
import { noteProgress, openJob, Overtaken, type Progress } from '../core/user-jobs.ts'
import { exportService } from '../modules/integrations/exports/service.ts'
import { asAuthor, systemOf } from './authors.ts'
import { failureOf } from './failures.ts'
import type { Background } from './runner.ts'

/** Milliseconds between looks for exports to be made, and between notes of how far one is. */
const interval = 1_000
/** Milliseconds between looks for files that nobody needs any more. */
const sweepInterval = 600_000
/** Milliseconds that an export may take: Postgres keeps what has changed since its beginning. */
const longest = 3_600_000
/** Seconds between the attempts of an export. */
const retryDelay = 5

type Leased = NonNullable<Awaited<ReturnType<typeof exportService.lease>>>

/**
 * Makes exports until it is stopped, a few at a time. Not by the queue: a snapshot lasts as long as
 * its connection, so an export is made in one go. `stop` interrupts those that have begun; they
 * begin anew elsewhere.
 */
export function startExports(services: Services, log: FastifyBaseLogger): Background {
  const stopping = new AbortController()
  const { signal } = stopping
  const lost = (error: unknown) => {
    log.error({ err: error }, 'the exports have lost the connection to the database')
  }
  const running = new Set<Promise<void>>()
  const startSome = async () => {
    while (running.size < maxSnapshots && !signal.aborted) {
      const leased = await exportService.lease(services)
      if (!leased) return
      const run = runLeased(services, log, leased, signal).catch(lost)
      running.add(run)
      void run.finally(() => running.delete(run))
    }
  }
  const work = repeat(interval, signal, startSome, running).catch(lost)
  const sweep = repeat(sweepInterval, signal, async () => await exportService.sweep(services))
  const stop = async () => {
    stopping.abort()
    await Promise.all([work, sweep, ...running])
  }
  let stopped: Promise<void> | undefined
  return { stop: async () => await (stopped ??= stop()) }

  /** Does it at once, and again after a time, or when one of `others` has ended. */
  async function repeat(
    milliseconds: number,
    signal: AbortSignal,
    once: () => Promise<void>,
    others = new Set<Promise<void>>()
  ): Promise<void> {
    while (!signal.aborted) {
      await once().catch(lost)
      const pause = sleep(milliseconds, undefined, { signal }).catch(() => {})
      await Promise.race([pause, ...others])
    }
  }
}

/** Makes the exports that wait, and returns when none is left. */
export async function runPendingExports(services: Services, log: FastifyBaseLogger): Promise<void> {
  const never = new AbortController().signal
  for (;;) {
    const leased = await exportService.lease(services)
    if (!leased) return
    await runLeased(services, log, leased, never)
  }
}

/** Makes an export, unless its job has ended. Errors: those of the database. */
async function runLeased(
  services: Services,
  log: FastifyBaseLogger,
  leased: Leased,
  stopping: AbortSignal
): Promise<void> {
  const { organization_id, id } = leased
  const found = await openJob(systemOf(services, { organization_id }), id)
  const payload = { ...found?.payload, organization_id }
  const system = systemOf(services, payload)
  const progress: Progress = { done: 0, total: null }
  const isOpen = found && (await noteProgress(system, id, progress))
  if (!isOpen) return void (await exportService.close(system, leased))
  const ended = new AbortController()
  const signal = AbortSignal.any([stopping, ended.signal, AbortSignal.timeout(longest)])
  const kept = keep(system, leased, progress, ended)
  try {
    const author = await asAuthor(system, exportService.permission, payload.api_token_id)
    if (!author) throw forbidden(exportService.permission)
    const made = await exportService.make(author, leased, progress, signal)
    await exportService.complete(system, leased, made)
  } catch (error) {
    const reason: unknown = ended.signal.reason ?? error
    await endUnmade({ system, log, leased, progress }, stopping.aborted, reason)
  } finally {
    ended.abort()
    await kept
  }
}

/** Renews the lease of an export and notes how far it is, until `ended`, which it may cause. */
async function keep(
  system: Context,
  leased: Leased,
  progress: Progress,
  ended: AbortController
): Promise<void> {
  const note = async () => {
    const isOurs = await exportService.renew(system, leased)
    if (!isOurs || !(await noteProgress(system, leased.id, progress))) ended.abort(new Overtaken())
  }
  const { signal } = ended
  while (!signal.aborted) {
    await sleep(interval, undefined, { signal }).catch(() => {})
    // while the database is away, another process may take over
    if (!signal.aborted) await note().catch(() => {})
  }
}

interface Run {
  system: Context
  log: FastifyBaseLogger
  leased: Leased
  progress: Progress
}

/** Notes the end of an export that was not made. */
async function endUnmade(
  { system, log, leased, progress }: Run,
  isStopped: boolean,
  error: unknown
): Promise<void> {
  if (isStopped) return await exportService.giveBack(system, leased)
  if (error instanceof Overtaken) {
    // what is to be canceled ends here
    await noteProgress(system, leased.id, progress)
    return void (await exportService.close(system, leased))
  }
  const { organization_id, id, attempts } = leased
  log.warn({ err: error, organization_id, job_id: id }, 'an export has failed')
  const failure = failureOf(error, attempts)
  if (!failure) return await exportService.release(system, leased, retryDelay)
  await exportService.fail(system, leased, failure)
}

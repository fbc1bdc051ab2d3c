import type { FastifyBaseLogger } from 'fastify'
import {
  Logger,
  run,
  runOnce,
  type Runner,
  type RunnerOptions,
  type TaskList
} from 'graphile-worker'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool } from 'pg'
import type { Context } from '../core/access/context.ts'
import type { Services } from '../core/services.ts'
import { sql } from '../core/db/drizzle.ts'
import { deleteExpired } from '../core/db/expiry.ts'
import { closePool, queuePool } from '../core/db/queue-pool.ts'
import { rowsOf } from '../core/db/sql.ts'
import { forbidden } from '../core/errors.ts'
import { enqueueRest, flagOf, removeRest, yieldTurn, type JobPayload } from '../core/jobs.ts'
import { enqueueUserJob, failJob, openJob, runBatch } from '../core/user-jobs.ts'
import { asAuthor, systemOf } from './authors.ts'
import { failureOf } from './failures.ts'
import { tasks, type Task } from './tasks.ts'

/**
 * Milliseconds after which a job leaves its remaining batches to a later turn, so that jobs of
 * other organizations do not wait for it.
 */
const turnTime = 1_000

/**
 * The tasks as graphile-worker runs them. `running`: the flags of the organizations of the jobs
 * that run, which get no other one meanwhile.
 */
function taskListOf(services: Services, log: FastifyBaseLogger, running: string[]): TaskList {
  const turnOf =
    (task: Task): TaskList[string] =>
    async (payload, { job }) => {
      const { organization_id, job_id } = payload as JobPayload
      const flag = flagOf(organization_id)
      running.push(flag)
      try {
        if (job_id === undefined) await runTurn(services, log, task, payload as JobPayload, job.key)
        else await runUserTurn(services, log, task, { organization_id, job_id }, job.attempts)
      } finally {
        running.splice(running.indexOf(flag), 1)
      }
    }
  return Object.fromEntries(tasks.map(task => [task.job.name, turnOf(task)]))
}

async function runTurn(
  services: Services,
  log: FastifyBaseLogger,
  { job, run }: Task,
  payload: JobPayload,
  key: string | null
) {
  const { organization_id, user_id } = payload
  const system = systemOf(services, payload)
  const ctx = await contextOf(job, system)
  if (!ctx) {
    log.warn(
      { job: job.name, organization_id, user_id },
      'a job was stopped: its author is disabled or lost the permission for it'
    )
    return
  }
  await removeRest(system, key)
  const deadline = performance.now() + turnTime
  let rest: JobPayload | undefined = payload
  while (rest && performance.now() < deadline) rest = (await run(ctx, rest)).rest
  if (rest) await enqueueRest(system, job.name, rest, key)
  await yieldTurn(system)
}

/** The same for a job that users see. */
async function runUserTurn(
  services: Services,
  log: FastifyBaseLogger,
  { job, run }: Task,
  { organization_id, job_id }: { organization_id: number; job_id: number },
  attempts: number
) {
  const found = await openJob(systemOf(services, { organization_id }), job_id)
  if (!found) return
  const system = systemOf(services, { ...found.payload, organization_id })
  try {
    const deadline = performance.now() + turnTime
    let hasMore = true
    while (hasMore && performance.now() < deadline) {
      const author = await contextOf(job, system, found.payload.api_token_id)
      if (!author) throw forbidden(job.permission!)
      // what is planned of it was shown when it was added
      hasMore = await runBatch(author.continuing(found.operation_id).planned, job_id, run)
    }
    if (hasMore) await enqueueUserJob(system, job.name, job_id)
  } catch (error) {
    const failure = failureOf(error, attempts)
    if (!failure) throw error
    log.warn({ err: error, job: job.name, organization_id, job_id }, 'a job has failed')
    await failJob(system, job_id, failure)
  }
  await yieldTurn(system)
}

/** Who a job is done as: its author, or the system if that needs no permission. */
async function contextOf({ permission }: Task['job'], system: Context, api_token_id?: number) {
  return permission === undefined ? system : await asAuthor(system, permission, api_token_id)
}

/** Messages of graphile-worker matter when something has gone wrong. */
const loggerOf = (log: FastifyBaseLogger) =>
  new Logger(() => (level, message, { error }) => {
    if (level === 'error') log.error({ err: error }, message)
    else if (level === 'warning') log.warn(message)
    else log.trace(message)
  })

function optionsOf(services: Services, pgPool: Pool, log: FastifyBaseLogger): RunnerOptions {
  const running: string[] = []
  return {
    pgPool,
    taskList: taskListOf(services, log, running),
    forbiddenFlags: () => running,
    logger: loggerOf(log),
    noHandleSignals: true
  }
}

/** Milliseconds between attempts to reach a lost database. */
const retryDelay = 5_000
/** Milliseconds between looks for abandoned jobs and expired rows. */
const watchInterval = 10_000
/** Milliseconds to wait for the queue, for a server that stopped responding. */
const queryTimeout = 10_000

/** What a process does besides serving requests. `stop` waits for what has begun. */
export interface Background {
  stop: () => Promise<void>
}

/**
 * Runs jobs until it is stopped, which waits for those that have begun. They use `services`; the
 * queue has connections of its own.
 */
export function startJobs(
  services: Services,
  database_url: string,
  log: FastifyBaseLogger
): Background {
  const stopping = new AbortController()
  let runner: Runner | undefined
  const lost = (error: unknown) => {
    log.error({ err: error }, 'the jobs have lost the connection to the database')
  }
  const pool = queuePool(database_url, queryTimeout)
  const working = (async () => {
    while (!stopping.signal.aborted) {
      try {
        await releaseAbandoned(services)
        runner = await run({ ...optionsOf(services, pool, log), concurrency: 2 })
        if (stopping.signal.aborted) await runner.stop()
        await runner.promise // ends by itself when the database is gone for some seconds
      } catch (error) {
        lost(error)
      }
      await sleep(retryDelay, undefined, { signal: stopping.signal }).catch(() => {})
    }
  })()
  const watch = setInterval(() => {
    releaseAbandoned(services).catch(lost)
    deleteExpired(services.database).catch(lost)
  }, watchInterval)
  const stop = async () => {
    clearInterval(watch)
    stopping.abort()
    await runner?.stop().catch(() => {}) // it may have ended by itself
    await working
    await closePool(pool)
  }
  let stopped: Promise<void> | undefined
  return { stop: async () => await (stopped ??= stop()) }
}

/** Milliseconds after which a job that has begun is considered abandoned. */
const abandonment = 60_000

/**
 * Releases the jobs of processes that were killed. graphile-worker itself waits four hours, since
 * it does not know that these jobs are short. Also makes jobs due that would have to wait until a
 * clock that was set back is where it was: they were added, or failed, in its future.
 */
async function releaseAbandoned({ database }: Services): Promise<void> {
  const seconds = abandonment / 1000
  await rowsOf(
    database,
    database.pool,
    sql`select graphile_worker.force_unlock_workers(array(
        select distinct locked_by from graphile_worker.jobs
        where abs(extract(epoch from now() - locked_at)) > ${seconds}))`
  )
  await rowsOf(
    database,
    database.pool,
    sql`select graphile_worker.reschedule_jobs(array(
        select id from graphile_worker.jobs
        where run_at > now() and locked_at is null and updated_at > now() + interval '1 second'),
      run_at => now())`
  )
}

/** Runs the jobs that are due, and returns when none is left. */
export const runPendingJobs = async (
  services: Services,
  database_url: string,
  log: FastifyBaseLogger
): Promise<void> => {
  const pool = queuePool(database_url)
  try {
    await runOnce(optionsOf(services, pool, log))
  } finally {
    await closePool(pool)
  }
}
